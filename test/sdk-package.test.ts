// The packed SDK: what npm installs from it traces an app by one flag, and an app's own copy shares its traces.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CollectorFixture, startCollector } from "../sdk/tracing/collector.fixture.ts";
import { startUpstream } from "../sdk/tracing/upstream.fixture.ts";

const run = promisify(execFile);
const repository = dirname(dirname(fileURLToPath(import.meta.url)));
let folder: string;
let collector: CollectorFixture;

beforeAll(async () => {
  collector = await startCollector();
  folder = await mkdtemp(join(tmpdir(), "tsdev-packed-"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: join(repository, "sdk") });
  const [tarball] = await readdir(folder);
  await writeFile(join(folder, "package.json"), '{"name":"empty","private":true,"type":"module"}');
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, tarball!), "undici@7"], {
    cwd: folder,
  });
}, 180_000);

afterAll(async () => {
  await collector?.leave();
  await rm(folder, { recursive: true, force: true });
});

async function runApp(
  service: string,
  source: string,
  flag = "@tsdev/sdk/register",
  env: Record<string, string> = {},
): Promise<string> {
  await writeFile(join(folder, "app.mjs"), source);
  const { stdout, stderr } = await run(process.execPath, ["--import", flag, "app.mjs"], {
    cwd: folder,
    env: { PATH: process.env.PATH, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: service, ...env },
  });
  expect(stderr).toBe("");
  return stdout;
}

const spansOf = (service: string) => collector.spans.filter((span) => span.resource["service.name"] === service);

test("it holds built files, types and maps, and no tests", async () => {
  const files = await readdir(join(folder, "node_modules/@tsdev/sdk"), { recursive: true });
  expect(files).toEqual(
    expect.arrayContaining(["dist/register.js", "dist/index.d.ts", "dist/http/index.js", "package.json"]),
  );
  expect(files.filter((file) => /\.test\.|\.fixture\.|\.contract\.|(?<!\.d)\.ts$/.test(file))).toEqual([]);
});

const call = `
  const server = http.createServer((_request, response) => response.end("ok")).listen(0);
  const ask = () => fetch("http://127.0.0.1:" + server.address().port + "/orders/7").then((answer) => answer.text());
  console.log(await ask());
  server.close();
  server.closeAllConnections();`;

test("`node --import @tsdev/sdk/register app.mjs` traces an app that does not import it", async () => {
  expect(await runApp("plain", `import http from "node:http";${call}`)).toBe("ok\n");
  const client = spansOf("plain").find((span) => span.kind === 3);
  expect(client?.name).toBe("GET /orders/:id");
  expect(JSON.parse(String(client?.attributes["tsdev.code.frames"]))[0]).toMatch(/^app\.mjs:\d+:ask$/);
});

test("a workflow of the app's own copy and another copy's register write one trace", async () => {
  const source = `import http from "node:http";
    import { openEngine, procedure, workflow } from "@tsdev/sdk";
    import { z } from "zod";
    const server = http.createServer((_request, response) => response.end("ok")).listen(0);
    const ask = procedure({
      name: "ask",
      input: z.object({ id: z.string() }),
      output: z.object({ text: z.string() }),
      handler: async ({ id }) => ({ text: await (await fetch("http://127.0.0.1:" + server.address().port + "/orders/" + id)).text() }),
    });
    const asking = workflow("asking").input(z.object({ id: z.string() })).step(ask);
    const engine = await openEngine({ log: { debug() {}, info() {}, warn() {}, error() {} } });
    console.log((await engine.execute(asking, { id: "7" })).text);
    await engine.close();
    server.close();
    server.closeAllConnections();`;
  expect(await runApp("both", source, new URL("../sdk/register.ts", import.meta.url).href)).toBe("ok\n");
  const run = spansOf("both").find((span) => span.name === "workflow asking");
  const client = spansOf("both").find((span) => span.kind === 3);
  expect(run?.traceId).toBeDefined();
  expect(client?.traceId).toBe(run?.traceId);
  expect(client?.parentSpanId).not.toBe("");
});

test("while replaying, npm's undici sends to the sink through dispatchers of the app's own", async () => {
  const sink = await startUpstream();
  const source = `import { Agent, Client, Pool, request } from "undici";
    const answers = [
      await request("https://api.example/agent", { dispatcher: new Agent(), query: { q: 1 } }),
      await new Pool("https://api.example").request({ path: "/pool", method: "GET" }),
      await new Client("http://api.example:81").request({ path: "/client", method: "POST", body: "hello" }),
    ];
    for (const answer of answers) console.log(answer.statusCode);
    process.exit(0);`;
  try {
    expect(await runApp("undici", source, undefined, { TSDEV_REPLAY_URL: sink.url })).toBe("200\n200\n200\n");
    const asked = sink.requests.map(({ method, headers, body }) => [method, headers["x-tsdev-original-url"], body]);
    expect(asked).toEqual([
      ["GET", "https://api.example/agent?q=1", ""],
      ["GET", "https://api.example/pool", ""],
      ["POST", "http://api.example:81/client", "hello"],
    ]);
  } finally {
    await sink.stop();
  }
});

test("the README's workflow runs as it stands there", async () => {
  const readme = await readFile(join(repository, "sdk/README.md"), "utf8");
  const source = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  expect(await runApp("readme", source)).toContain("the order costs 30\n");
  expect(spansOf("readme").map((span) => span.name)).toContain("workflow ordering");
});

test("every entry point can be imported", async () => {
  const source = `for (const entry of ["", "/http", "/config"]) await import("@tsdev/sdk" + entry);
    console.log("imported");`;
  expect(await runApp("entries", source)).toBe("imported\n");
});
