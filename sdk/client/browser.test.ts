// The client in a real browser, from a bundle that is small and holds nothing of the server.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type OutputChunk, rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser } from "../../scripts/browser.ts";
import { openEngine } from "../engine/open-engine.ts";
import { richApp } from "../http/rich-app.fixture.ts";
import { type Server, serve } from "../http/serve.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
/** Issue 4. */
const largest = 15 * 1024;

const entry = fileURLToPath(new URL("./index.ts", import.meta.url));
let chunk: OutputChunk;
let server: Server;
beforeAll(async () => {
  const bundle = await rolldown({ input: entry, platform: "browser" });
  [chunk] = (await bundle.generate({ format: "esm", minify: true })).output;
  const engine = await openEngine({ log: silent });
  const app = richApp(engine);
  app.get("/client.js", (c) => c.body(chunk.code, 200, { "content-type": "text/javascript" }));
  app.get("/page", (c) => c.html("<!doctype html><title>client</title>"));
  server = await serve(app, { port: 0, drainMs: 0, engine });
});
afterAll(() => server?.stop());

/** A text, since the test runner rewrites the imports of a function. */
const program = `(async () => {
  const { createClient, isError } = await import("/client.js");
  const client = createClient({ token: "admin" });
  const streamed = [];
  for await (const { left } of client.countDown({ from: 2 })) streamed.push(left);
  const declared = await client.orders
    .place({ orderId: "o1", sku: "a", count: 901 })
    .then(() => undefined, (error) => isError(error, "out_of_stock") && error.data);
  const uploaded = await client.upload({ photo: new File(["abc"], "a.png"), title: "t" });
  const run = await client.workflows["order-processing"].start({ orderId: "browser" });
  const events = [];
  for await (const { type } of run.events()) events.push(type);
  return { who: await client.whoAmI(), streamed, declared, uploaded, output: await run.wait(), last: events.at(-1) };
})()`;

test("the bundle is small, with neither Zod nor Node in it", () => {
  expect(gzipSync(chunk.code).byteLength).toBeLessThan(largest);
  expect(chunk.imports).toEqual([]);
  const modules = Object.keys(chunk.modules).filter((id) => !id.includes("/sdk/client/"));
  expect(modules.every((id) => id.includes("/eventsource-parser/") || id.startsWith("\0"))).toBe(true);
});

test("calls, streams, files and runs work in Chromium", async () => {
  const profile = await mkdtemp(join(tmpdir(), "tsdev-client-"));
  const browser = await openBrowser({ HOME: profile });
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}/page`);
    const seen = await page.evaluate(program);
    expect(seen).toEqual({
      who: { id: "admin" },
      streamed: [2, 1, 0],
      declared: { left: 900 },
      uploaded: { bytes: 3, name: "a.png", title: "t" },
      output: { orderId: "browser", length: 7, at: "1970-01-01T00:00:00.000Z" },
      last: "run.done",
    });
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
});

test("the docs page shows the operations with no other host", async () => {
  const profile = await mkdtemp(join(tmpdir(), "tsdev-docs-"));
  const browser = await openBrowser({ HOME: profile });
  try {
    const page = await browser.newPage();
    const hosts = new Set<string>();
    page.on("request", (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol !== "data:") hosts.add(host);
    });
    await page.goto(`${server.url}/docs`);
    await page.getByText("Look at an order").waitFor({ timeout: 20_000 });
    expect([...hosts]).toEqual([new URL(server.url).host]);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
});
