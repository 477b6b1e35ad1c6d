// tsdev integrate: a document's operations as procedures that compile strictly and call a real server.
import { execFile } from "node:child_process";
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCollector } from "../../sdk/tracing/collector.fixture.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const document = fileURLToPath(new URL("../integrate/warehouse.fixture.yaml", import.meta.url));

interface Seen {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

let folder: string;
let server: Server;
let origin: string;
const seen: Seen[] = [];

beforeAll(async () => {
  // In the repository, so that dependencies are found, where neither git nor the type check looks.
  await mkdir(join(root, "tmp"), { recursive: true });
  folder = await mkdtemp(join(root, "tmp/integrate-"));
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = "", url = "", headers } = request;
    seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json", "retry-after": "2" }).end(JSON.stringify(value));
    if (url.startsWith("/v2/items/busy")) json(503, { message: `overloaded, ${headers.authorization}` });
    else if (url.startsWith("/v2/items/gone")) json(404, { detail: "no such item" });
    else if (url.startsWith("/v2/items/wrong")) json(200, { name: "no id" });
    else if (url.startsWith("/v2/items/moved"))
      response.writeHead(302, { location: "http://elsewhere.example/" }).end();
    else if (url.startsWith("/v2/items/slow")) response.flushHeaders();
    else if (method === "GET" && url.startsWith("/v2/items/")) json(200, { id: "i1", name: "saw", extra: 1 });
    else if (url === "/v2/items") json(201, { id: "i2", ...JSON.parse(Buffer.concat(chunks).toString()) });
    else if (url.startsWith("/v2/orders/")) response.writeHead(200, { "content-type": "text/plain" }).end("noted");
    else if (url.startsWith("/v2/reports/")) response.writeHead(200).end(Buffer.from([37, 80, 68, 70]));
    else if (url === "/v2/files") json(200, { size: Buffer.concat(chunks).length });
    else response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await integrate();
  for (const name of ["procedures.ts", "schemas.ts"]) {
    const path = join(folder, "src/warehouse", name);
    await mkdir(join(folder, "run/warehouse"), { recursive: true });
    const text = (await readFile(path, "utf8"))
      .replace('"@tsdev/sdk/integration"', '"../../../../sdk/integration/index.ts"')
      .replace('"@tsdev/sdk"', '"../../../../sdk/index.ts"');
    await writeFile(join(folder, "run/warehouse", name), text);
  }
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

async function integrate(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const args = [join(root, "cli/tsdev.js"), "integrate", document, "--out", "src", "--name", "warehouse", "--json"];
  return run(process.execPath, [...args, ...flags], { cwd: folder }).then(
    (done) => ({ code: 0, ...done }),
    (failed) => failed,
  );
}

const program = `
import { call, TsdevError, isTransient } from "../../../sdk/index.ts";
import * as w from "./warehouse/procedures.ts";
w.warehouse.configure({ baseUrl: process.env.ORIGIN + "/v2", auth: { token: async () => "tok-secret" } });
const results: unknown[] = [];
const attempt = async (run: () => Promise<unknown>) => {
  try { results.push(await run()); } catch (thrown) {
    const error = thrown as TsdevError & { upstreamStatus?: number };
    results.push({ ...error.toJSON(), upstreamStatus: error.upstreamStatus, transient: isTransient(error), whole: String(error.stack) + String((error.cause as Error)?.stack) });
  }
};
await attempt(() => call(w.getItem, { "item-id": "a/b", tags: ["x", "y"], fields: ["f", "g"], where: { color: "red" }, xRequestSource: "test" }));
await attempt(() => call(w.postItems, { body: { name: "saw", parts: [{ name: "blade" }] } }, { idempotencyKey: "key-1" }));
await attempt(() => call(w.deleteOne, { id: 7, id2: "q", body: { text: "a b", times: 2 } }));
await attempt(() => call(w.removeItem, { "item-id": "i1" }));
await attempt(async () => Array.from(await call(w.dailyReport, {})));
await attempt(() => call(w.upload, { body: { title: "t", file: new Blob(["data"]) } }));
await attempt(() => call(w.getItem, { "item-id": "busy" }));
await attempt(() => call(w.getItem, { "item-id": "gone" }));
await attempt(() => call(w.getItem, { "item-id": "wrong" }));
await attempt(() => call(w.getItem, { "item-id": "moved" }));
await attempt(() => call(w.getItem, { "item-id": ".." }));
await attempt(() => call(w.getItem, { "item-id": "slow" }, { signal: AbortSignal.timeout(300) }));
delete process.env.WAREHOUSE_BASIC;
await attempt(() => call(w.removeItem, { "item-id": "i1" }));
// @ts-expect-error a number is no id
void (() => call(w.getItem, { "item-id": 1 }));
console.log(JSON.stringify(results));
`;

describe("the generated procedures", () => {
  test("compile strictly, map every kind of value, and say what went wrong without a credential", async () => {
    const file = join(folder, "run/main.ts");
    await writeFile(file, program);
    const flags =
      "--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes false --skipLibCheck --allowImportingTsExtensions --target es2024 --module nodenext --moduleResolution nodenext --types node --noUnusedLocals";
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    const { stdout: errors } = await run(process.execPath, [compiler, ...flags.split(" "), file]).catch(
      (failed: { stdout: string }) => failed,
    );
    expect(errors.split("\n").filter((line) => line.includes("/run/"))).toEqual([]);
    const collector = await startCollector();
    try {
      const { stdout, stderr } = await run(process.execPath, ["--import", join(root, "sdk/register.ts"), file], {
        cwd: folder,
        env: {
          ...process.env,
          ORIGIN: origin,
          WAREHOUSE_BASIC: "user:basic-secret",
          WAREHOUSE_QUERY_KEY: "query-secret",
          OTEL_SERVICE_NAME: "warehouse-test",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          TSDEV_ROOT: folder,
        },
      });
      const [item, added, noted, removed, report, uploaded, busy, gone, wrong, moved, dots, slow, noCredential] =
        JSON.parse(stdout.trim().split("\n").at(-1)!);
      expect(item).toEqual({ id: "i1", name: "saw" });
      expect(seen[0]).toMatchObject({
        url: "/v2/items/a%2Fb?tags=x&tags=y&fields=f%2Cg&where%5Bcolor%5D=red",
        headers: { authorization: "Bearer tok-secret", "x-request-source": "test" },
      });
      expect(added).toEqual({ id: "i2", name: "saw", parts: [{ name: "blade" }] });
      expect(seen[1]?.headers).toMatchObject({ "idempotency-key": "key-1", "content-type": "application/json" });
      expect([noted, removed ?? null, report]).toEqual(["noted", null, [37, 80, 68, 70]]);
      expect(seen[2]).toMatchObject({ url: "/v2/orders/7/notes?id=q", body: "text=a+b&times=2" });
      expect(seen[2]?.headers["x-api-key"]).toBeUndefined();
      expect(seen[3]?.headers.authorization).toBe(`Basic ${Buffer.from("user:basic-secret").toString("base64")}`);
      expect(seen[4]?.url).toBe("/v2/reports/daily?api_key=query-secret");
      expect(seen[5]?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
      expect(uploaded.size).toBeGreaterThan(4);
      expect(busy).toMatchObject({ code: "unavailable", upstreamStatus: 503, transient: true, retryAfterMs: 2_000 });
      expect(busy.message).toContain("overloaded, Bearer [redacted]");
      expect(gone).toMatchObject({ code: "upstream_failed", upstreamStatus: 404, transient: false });
      expect(gone.message).toBe("GET /items/{item-id} of warehouse answered 404: no such item");
      expect(wrong).toMatchObject({ code: "invalid_output" });
      expect(moved).toMatchObject({ code: "upstream_failed", upstreamStatus: 302 });
      expect(dots).toMatchObject({ code: "invalid_input", path: "item-id" });
      expect(slow).toMatchObject({ transient: true });
      expect(noCredential).toMatchObject({ code: "invalid_config", fix: expect.stringContaining("WAREHOUSE_BASIC") });
      expect(stdout + stderr).not.toMatch(/tok-secret|basic-secret|query-secret/);

      const client = await collector.until("the span of the first call", ({ spans }) =>
        spans.find((span) => span.kind === 3 && String(span.attributes["url.full"]).includes("/v2/items/a%2Fb")),
      );
      expect(String(client.attributes["tsdev.code.frames"])).toContain("run/warehouse/procedures.ts");
      const called = collector.spans.find(({ spanId }) => spanId === client.parentSpanId);
      expect(called?.name).toContain("warehouse.getItem");
      expect(JSON.stringify(collector.spans)).not.toMatch(/tok-secret|basic-secret|query-secret/);
    } finally {
      await collector.leave();
    }
  });

  test("are the same when the same document is read again", async () => {
    const read = () => readFile(join(folder, "src/warehouse/procedures.ts"), "utf8");
    const before = await read();
    expect((await integrate()).code).toBe(0);
    expect(await read()).toBe(before);
    expect(before.split("\n").filter((line) => line.length > 120 && !line.startsWith("/** "))).toEqual([]);
  });

  test("are not overwritten once a person changed them, unless forced", async () => {
    const path = join(folder, "src/warehouse/procedures.ts");
    await appendFile(path, "export const mine = 1;\n");
    const { code, stderr } = await integrate();
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "conflict", fix: expect.stringContaining("--force") } });
    expect(await readFile(path, "utf8")).toContain("mine");
    expect((await integrate("--force")).code).toBe(0);
    expect(await readFile(path, "utf8")).not.toContain("mine");
  });

  test("a document of another kind is refused with what to do", async () => {
    const old = join(folder, "swagger.json");
    await writeFile(old, JSON.stringify({ swagger: "2.0", info: { title: "t", version: "1" }, paths: {} }));
    const failed = await run(process.execPath, [join(root, "cli/tsdev.js"), "integrate", old, "--json"], {
      cwd: folder,
    }).catch((error) => error);
    expect(JSON.parse(failed.stderr)).toMatchObject({ error: { code: "invalid_input", path: "openapi" } });
  });
});
