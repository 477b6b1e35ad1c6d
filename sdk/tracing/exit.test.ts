// The end of a process: its last spans arrive, and it ends as it would have without us.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AppFolder, appFolder, runApp } from "./app.fixture.ts";
import { type CollectorFixture, startCollector } from "./collector.fixture.ts";

let folder: AppFolder;
let file: string;
let collector: CollectorFixture;
// Connections are refused there.
const nobody = "http://127.0.0.1:9";

beforeAll(async () => {
  folder = appFolder();
  file = folder.add("ends.mjs");
  collector = await startCollector();
});

afterAll(async () => {
  await collector.leave();
  folder.remove();
});

function run(way: string, endpoint: string, env: Record<string, string> = {}) {
  const service = `${way}-${Math.random()}`;
  const app = runApp({
    file,
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME: service, WAY: way, ...env },
    args: [way],
  });
  return {
    ...app,
    waiting: () =>
      new Promise<void>((done) => {
        const look = () => app.output().includes("waiting") && done();
        app.process.stdout?.on("data", look);
        look();
      }),
    spans: () => collector.spans.filter((span) => span.resource["service.name"] === service),
  };
}

test.each([
  ["end", 0],
  ["exit", 7],
  ["throw", 1],
])("after %s both spans have arrived and the exit code is %d", async (way, code) => {
  const app = run(way, collector.url);
  expect(await app.ended).toBe(code);
  expect(
    app
      .spans()
      .map((span) => span.kind)
      .sort(),
  ).toEqual([2, 3]);
  if (way !== "throw") expect(app.output()).toBe("");
});

test("SIGTERM ends an app without a handler by that signal, after its spans were sent", async () => {
  const app = run("wait", collector.url);
  await app.waiting();
  app.process.kill("SIGTERM");
  expect(await app.ended).toBe("SIGTERM");
  expect(app.spans()).toHaveLength(2);
});

test("SIGTERM is the app's own affair when it has a handler, which does not see ours", async () => {
  const app = run("handler", collector.url);
  await app.waiting();
  app.process.kill("SIGTERM");
  expect(await app.ended).toBe(5);
  expect(app.output()).toContain("listeners 1");
  expect(app.spans()).toHaveLength(2);
});

test.each([
  ["end", 0],
  ["exit", 7],
  ["throw", 1],
])("with the collector away, %s ends as soon and with the same code", async (way, code) => {
  const took = async (env: Record<string, string>) => {
    const started = performance.now();
    const app = run(way, nobody, env);
    expect(await app.ended).toBe(code);
    return performance.now() - started;
  };
  const off = await took({ OTEL_SDK_DISABLED: "true" });
  expect((await took({})) - off).toBeLessThan(1_000);
});

test("with the collector away, SIGTERM ends the app within a second", async () => {
  const app = run("wait", nobody);
  await app.waiting();
  const started = performance.now();
  app.process.kill("SIGTERM");
  expect(await app.ended).toBe("SIGTERM");
  expect(performance.now() - started).toBeLessThan(1_000);
});

test("a handler that exits at once loses no span and sends none twice", async () => {
  const app = run("handler-exit", collector.url);
  await app.waiting();
  app.process.kill("SIGTERM");
  expect(await app.ended).toBe(6);
  expect(app.spans()).toHaveLength(2);
});

test("OTEL_SDK_DISABLED=true sends nothing", async () => {
  const before = collector.requests;
  const app = run("end", collector.url, { OTEL_SDK_DISABLED: "true" });
  expect(await app.ended).toBe(0);
  expect(collector.requests).toBe(before);
});
