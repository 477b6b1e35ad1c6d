// The OpenAPI document: a linter finds no fault with it, and a client that a kept generator makes of it compiles and works.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { openEngine } from "../engine/open-engine.ts";
import { richApp } from "./rich-app.fixture.ts";
import { type Server, serve } from "./serve.ts";

const run = promisify(execFile);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const repository = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);

interface Document {
  paths: Record<string, Record<string, { operationId: string; security: object[]; responses: Record<string, object> }>>;
  webhooks: Record<string, object>;
  components: { schemas: Record<string, object> };
}

let server: Server;
let document: Document;
beforeAll(async () => {
  const engine = await openEngine({ log: silent });
  server = await serve(richApp(engine), { port: 0, drainMs: 0, engine });
  document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
});
afterAll(() => server.stop());

test("tells of routes, runs, events and webhooks, with what each needs and answers", () => {
  const { paths, webhooks, components } = document;
  expect(paths["/orders/{orderId}"]?.put).toMatchObject({
    operationId: "orders.place",
    parameters: [{ name: "orderId", in: "path", required: true }],
    requestBody: { content: { "application/json": { schema: { required: ["sku", "count"] } } } },
    responses: { "201": {}, "409": { description: "Conflict: out_of_stock" }, "423": {} },
  });
  expect(paths["/orders/{orderId}"]?.delete?.security).toEqual([{ caller: [] }]);
  expect(paths["/rpc/upload"]?.post).toMatchObject({ requestBody: { content: { "multipart/form-data": {} } } });
  expect(paths["/rpc/orders.get"]).toBeUndefined();
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining([
      "/workflows/order-processing/runs/{id}/events",
      "/workflows/reviewed-order/runs/{id}/approvals/{node}",
      "/events/order.paid",
    ]),
  );
  // What is refused, the document says: this character by a pattern.
  expect(paths["/workflows/reviewed-order/runs"]?.get).toMatchObject({
    parameters: expect.arrayContaining([
      { name: "before", in: "query", schema: { type: "string", pattern: "^[^\\u0000]*$" } },
    ]),
  });
  expect(Object.keys(webhooks)).toEqual(["bank"]);
  expect(Object.keys(components.schemas)).toEqual(expect.arrayContaining(["Order", "Tree", "Problem", "RunStatus"]));
});

test("Redocly's recommended rules find neither an error nor a warning", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-openapi-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "openapi.json"), JSON.stringify(document));
  const linter = join(dirname(require.resolve("@redocly/cli/package.json")), "bin/cli.js");
  const env = { ...process.env, REDOCLY_TELEMETRY: "off" };
  const args = [linter, "lint", "openapi.json", "--extends=recommended", "--format=json"];
  const { stdout } = await run(process.execPath, args, { cwd: folder, env }).catch((error) => error);
  const { problems } = JSON.parse(stdout.slice(stdout.indexOf("{"))) as { problems: { message: string }[] };
  expect(problems.map(({ message }) => message)).toEqual([]);
});

const generate = `
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
// The generator prints by the compiler's API, which TypeScript 7 does not have.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === "typescript" && context.parentURL?.includes("/@hey-api/") ? import.meta.resolve("typescript-6") : specifier, context),
});
const { createClient } = await import("@hey-api/openapi-ts");
await createClient({
  input: JSON.parse(readFileSync("openapi.json", "utf8")),
  output: { path: "client", importFileExtension: ".ts", postProcess: [] },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
  logs: { level: "silent" },
});
`;

const use = `
import { client } from "./client/client.gen.ts";
import { orderProcessingStart, ordersGet, ordersPlace } from "./client/sdk.gen.ts";
client.setConfig({ baseUrl: process.argv[2]! });
const got = await ordersGet({ path: { orderId: "o1" } });
const note: string | null | undefined = got.data?.note;
const placed = await ordersPlace({ path: { orderId: "o1" }, body: { sku: "a", count: 901 } });
const run = await orderProcessingStart({ body: { orderId: "o1" }, query: { runId: "generated" } });
// @ts-expect-error: an id is a text
() => ordersGet({ path: { orderId: 1 } });
console.log(JSON.stringify([note, got.data?.items.length, placed.error, run.data?.state]));
`;

test("@hey-api/openapi-ts makes a client of it that compiles strictly and is answered", async () => {
  // In the repository, so that dependencies are found, where neither git nor the type check looks.
  await mkdir(join(repository, "tmp"), { recursive: true });
  const folder = await mkdtemp(join(repository, "tmp", "generated-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "openapi.json"), JSON.stringify(document));
  await writeFile(join(folder, "generate.mjs"), generate);
  await writeFile(join(folder, "use.ts"), use);
  await run(process.execPath, ["generate.mjs"], { cwd: folder });
  const compiler = join(repository, "node_modules/typescript/bin/tsc");
  const flags = "--ignoreConfig --noEmit --strict --skipLibCheck --allowImportingTsExtensions --target es2024";
  const modules = "--module nodenext --moduleResolution nodenext --types node use.ts";
  await run(process.execPath, [compiler, ...`${flags} ${modules}`.split(" ")], { cwd: folder }).catch((error) => {
    throw new Error(error.stdout || error.message);
  });
  const { stdout } = await run(process.execPath, ["use.ts", server.url], { cwd: folder });
  expect(JSON.parse(stdout)).toEqual([
    null,
    1,
    expect.objectContaining({ code: "out_of_stock", data: { left: 900 } }),
    "done",
  ]);
});
