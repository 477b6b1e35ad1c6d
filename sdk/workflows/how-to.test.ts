// The program in docs/how-to/write-a-workflow.md compiles, runs and says what the page says.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
let folder: string;

beforeAll(async () => {
  // In the repository, so that dependencies are found, where neither git nor the type check looks.
  await mkdir(path("../../tmp/"), { recursive: true });
  folder = await mkdtemp(path("../../tmp/how-to-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("the how-to's program compiles and runs", async () => {
  const page = await readFile(path("../../docs/how-to/write-a-workflow.md"), "utf8");
  const program = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]).join("\n");
  const file = join(folder, "program.ts");
  await writeFile(file, program.replaceAll('"@tsdev/sdk"', '"../../sdk/index.ts"'));
  const flags = "--ignoreConfig --noEmit --strict --skipLibCheck --allowImportingTsExtensions --target es2024";
  const modules = "--module nodenext --moduleResolution nodenext --types node";
  await run(process.execPath, [
    path("../../node_modules/typescript/bin/tsc"),
    ...`${flags} ${modules}`.split(" "),
    file,
  ]);
  const { DATABASE_URL: _, ...env } = process.env;
  const { stdout } = await run(process.execPath, [file], { env });
  expect(stdout).toMatch(/^o1: 4200-[0-9a-f]{8} true true$/m);
  expect(stdout).toMatch(/^step_failed email workflow "checkout": step "validateOrder" failed after 1 attempt: /m);
});
