// The OpenAPI document of every operation there is, checked by a linter.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import { allOperations, type OperationParts } from "../operations.ts";
import { methodOf, openApiDocument, pathOf } from "../platform/api/openapi.ts";

/** Stands for every part: the contracts are read and no handler is called. */
const unopened: object = new Proxy(() => unopened, { get: () => unopened });

test("every operation is in the OpenAPI 3.1 document, and a linter finds no fault with it", async () => {
  const operations = allOperations(unopened as OperationParts);
  const document = openApiDocument(operations, { url: "http://localhost:3200", version: "1.0.0" }) as {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  expect(document.openapi).toMatch(/^3\.1/);
  for (const one of operations) expect(document.paths[pathOf(one)]?.[methodOf(one)]?.operationId).toBe(one.name);

  const folder = await mkdtemp(join(tmpdir(), "tsdev-openapi-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "openapi.json"), JSON.stringify(document));
  const linter = join(dirname(createRequire(import.meta.url).resolve("@redocly/cli/package.json")), "bin/cli.js");
  const { stdout } = await execa(
    process.execPath,
    [linter, "lint", "openapi.json", "--extends=spec", "--format=json"],
    { cwd: folder, reject: false, env: { REDOCLY_TELEMETRY: "off" } },
  );
  const { problems } = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { problems: { message: string }[] };
  expect(problems.map((one) => one.message)).toEqual([]);
});
