// docs/how-to/send-telemetry.md followed to the letter: its files, its commands, and the variables that `tsdev otlp` prints.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { otlpVariables } from "../cli/commands/otlp.ts";
import { hasProgram, ranWith } from "../platform/telemetry/ingest/exporters.fixture.ts";
import { telemetryHttp } from "../platform/telemetry/ingest/http.ts";
import { Ingest } from "../platform/telemetry/ingest/ingest.ts";
import type { Tenant } from "../platform/telemetry/ingest/tables.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../platform/telemetry/telemetry-fixture.ts";

let telemetry: TemporaryTelemetry;
let server: Server;
let url: string;
let tenant: Tenant;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  const app = telemetryHttp({
    ingest: new Ingest(telemetry.store),
    authenticate: async (authorization) => (authorization === "Bearer tsi_known" ? tenant : null),
  });
  server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1");
  await new Promise((settle) => server.once("listening", settle));
  url = `http://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await telemetry[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = newTenant();
});

/** A section of the page: its file, and the commands that install and that start. */
async function section(title: string): Promise<{ file: string; text: string; install: string; start: string }> {
  const page = await readFile(join(import.meta.dirname, "../docs/how-to/send-telemetry.md"), "utf8");
  const [, body] = page.split(`\n## ${title}\n`);
  const part = body!.split("\n## ")[0]!;
  const [, file, text] = /^`(\S+)`:\n\n```\w+\n(.*?)^```$/ms.exec(part)!;
  const commands = (word: string) => new RegExp(`^${word}:\n\n\`\`\`sh\n(.*?)^\`\`\`$`, "ms").exec(part)![1]!;
  return { file: file!, text: text!, install: commands("Install"), start: commands("Start") };
}

test.for([
  ["Node", "npm", ["--version"]],
  ["Python", "python3", ["-m", "venv", "--help"]],
  ["Go", "go", ["version"]],
] as const)(
  "an app in %s sends its span here when its variables say so",
  { timeout: 600_000 },
  async ([language, program, args], { skip }) => {
    const path = `${dirname(process.execPath)}:${process.env.PATH}`;
    if (!(await hasProgram(program, [...args], `the how-to's app in ${language}`))) skip();
    const { file, text, install, start } = await section(language);
    // An empty folder once for each version of the page: what is installed there stays.
    const digest = createHash("sha256")
      .update(JSON.stringify([file, text, install]))
      .digest("hex")
      .slice(0, 16);
    const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tsdev");
    const folder = join(cache, `send-telemetry-${language.toLowerCase()}-${digest}`);
    if (!existsSync(join(folder, "installed"))) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, file), text);
      const installed = await ranWith("sh", ["-e", "-c", install], { PATH: path, GOFLAGS: "-buildvcs=false" }, folder);
      expect(installed, installed.errors).toMatchObject({ code: 0 });
      await writeFile(join(folder, "installed"), "");
    }
    const variables = { PATH: path, ...otlpVariables("my-app", url, "tsi_known") };
    const ran = await ranWith("sh", ["-e", "-c", start], variables, folder);
    expect(ran, ran.errors).toMatchObject({ code: 0, output: expect.stringContaining("taken") });
    const rows = await telemetry.store.reader.query(
      "SELECT ServiceName, SpanName FROM otel_traces WHERE Organization = {org:String}",
      { org: tenant.organizationId },
    );
    expect(rows, ran.errors).toEqual([{ ServiceName: "my-app", SpanName: "take order" }]);
  },
);
