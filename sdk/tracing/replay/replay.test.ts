// Replay of a real app process: nothing leaves it but for the sink, and within a request chance and time are the request's.
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AppFolder, appFolder, type RunningApp, startApp } from "../app.fixture.ts";
import { type CollectedSpan, type CollectorFixture, startCollector } from "../collector.fixture.ts";
import { startUpstream, type UpstreamFixture } from "../upstream.fixture.ts";

let collector: CollectorFixture;
let sink: UpstreamFixture;
let allowed: Server;
let folder: AppFolder;
let app: RunningApp;
let file: string;

beforeAll(async () => {
  collector = await startCollector();
  sink = await startUpstream((path) =>
    path === "/__blocked" ? {} : { status: 203, headers: { "x-from": "sink" }, body: '{"from":"sink"}' },
  );
  allowed = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await new Promise((done) => allowed.once("listening", done));
  folder = appFolder();
  file = folder.add("outgoing.mjs");
  app = await start({ TSDEV_REPLAY_DETERMINISTIC: "1" });
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([collector?.leave(), sink?.stop(), new Promise((done) => allowed.close(done))]);
  folder?.remove();
});

function start(env: Record<string, string>, url = sink.url): Promise<RunningApp> {
  const port = String((allowed.address() as { port: number }).port);
  return startApp({
    file,
    cwd: folder.path,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      TSDEV_REPLAY_URL: url,
      TSDEV_REPLAY_ALLOW: `127.0.0.1:${port}`,
      ALLOWED_PORT: port,
      ...env,
    },
  });
}

async function ask(way: string, headers: Record<string, string> = {}, of = app): Promise<Record<string, unknown>> {
  const answer = await of.get(`/${way}`, { headers });
  return (await answer.json()) as Record<string, unknown>;
}

describe("an outgoing request goes to the sink and comes back as if it had not", () => {
  test.each([
    ["fetch", "POST", "https://api.example/v1/charges?b=2", "api.example", '{"a":1}'],
    ["request", "PUT", "http://api.example:8080/v1/x", "api.example:8080", "body"],
    ["options", "POST", "https://api.example/v1/y?q=1", "api.example", "body"],
    ["get", "GET", "http://api.example/v1/z", "api.example", ""],
    ["https", "GET", "https://api.example/", "api.example", ""],
  ])("%s", async (way, method, url, host, body) => {
    expect(await ask(way, { "x-tsdev-request-id": `id-${way}` })).toEqual({ status: 203, from: "sink" });
    const got = sink.requests.find((request) => request.headers["x-tsdev-request-id"] === `id-${way}`);
    expect(got).toMatchObject({ method, body, headers: { "x-tsdev-original-url": url, host } });
    if (way === "fetch" || way === "request") expect(got?.headers["x-own"]).toBe("1");
    if (way === "options") expect(got?.headers.authorization).toBe(`Basic ${Buffer.from("u:p").toString("base64")}`);
    // Of a URL with a name and a password the instrumentation hides both.
    const full = (one: CollectedSpan) => String(one.attributes["url.full"]).replace(/\/\/.*@/, "//");
    const span = await collector.until("its span", ({ spans }) => spans.find((one) => full(one) === url));
    expect(span.attributes["server.address"]).toBe("api.example");
    expect(span.attributes["code.file.path"]).toBe("outgoing.mjs");
  });
});

test.each(["fetch-error", "request-error"])("an error that the sink asks for is the app's error: %s", async (way) => {
  const failing = await startUpstream(() => ({ status: 502, headers: { "x-tsdev-error": "ECONNRESET" } }));
  const other = await start({}, failing.url);
  try {
    expect(await ask(way, {}, other)).toMatchObject({ code: "ECONNRESET" });
  } finally {
    await other.stop();
    await failing.stop();
  }
});

test.each([
  ["net", { host: "10.1.2.3", port: 6379 }],
  ["tls", { host: "10.1.2.3", port: 5671 }],
  ["pg", { host: "10.1.2.3", port: 5432 }],
  ["path", { path: "/tmp/some.sock" }],
])("a connection that is not listed is refused and reported: %s", async (way, to) => {
  expect(await ask(way, { "x-tsdev-request-id": `blocked-${way}` })).toMatchObject({ code: "ETSDEV_BLOCKED" });
  const report = await collector.until("the report", () =>
    sink.requests.find((request) => request.path === "/__blocked" && request.body.includes(`blocked-${way}`)),
  );
  expect(report.method).toBe("POST");
  expect(JSON.parse(report.body)).toMatchObject({ ...to, requestId: `blocked-${way}`, code: "ETSDEV_BLOCKED" });
});

test("a connection that is listed is made, under any name of this machine", async () => {
  expect(await ask("allowed")).toEqual({ text: "connected" });
});

test("a replay makes no recordings", async () => {
  await ask("fetch");
  await collector.until("spans", ({ spans }) => spans.length > 0);
  expect(collector.recordings).toEqual([]);
});

describe("deterministic", () => {
  const at = "2026-01-02T03:04:05.000Z";
  const draw = (id: string, of = app) => ask("random", { "x-tsdev-request-id": id, "x-tsdev-replay-time": at }, of);

  test("two processes draw the same for the same request, also at once, and others for another", async () => {
    const other = await start({ TSDEV_REPLAY_DETERMINISTIC: "1" });
    try {
      const [first, second, again] = await Promise.all([draw("a"), draw("b"), draw("a", other)]);
      expect(again).toEqual(first);
      expect(second.math).not.toEqual(first.math);
      expect(new Set(first.uuid as string[]).size).toBe(3);
      for (const uuid of first.uuid as string[]) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
    } finally {
      await other.stop();
    }
  });

  test("the clock begins where the request says and moves with being read", async () => {
    const drawn = await draw("c");
    expect(drawn.now).toBe(Date.parse(at));
    expect(drawn.date).toBe(at);
    expect(drawn.isDate).toBe(true);
    expect(drawn.fixed).toBe(0);
    expect(drawn.end).toBe(Date.parse(at) + 3);
  });

  test("outside a replayed request chance and time are real, and so is the time of spans", async () => {
    const before = Date.now();
    const outside = await ask("outside");
    expect(Math.abs(Number(outside.start) - before)).toBeLessThan(60_000);
    const plain = await ask("random");
    expect(Number(plain.now)).toBeGreaterThanOrEqual(before);
    await draw("d");
    const span = await collector.until("the span", ({ spans }) =>
      spans.find((one) => one.attributes["url.path"] === "/random"),
    );
    for (const one of collector.spans) expect(Math.abs(one.startMs - before)).toBeLessThan(60_000);
    expect(span.kind).toBe(2);
  });

  test("without the flag a replay draws really", async () => {
    const other = await start({});
    try {
      const [first, second] = [await draw("a", other), await draw("a", other)];
      expect(first.uuid).not.toEqual(second.uuid);
    } finally {
      await other.stop();
    }
  });
});

test("a replay without traces still cuts the app off", async () => {
  const other = await start({ OTEL_SDK_DISABLED: "true" });
  try {
    expect(await ask("get", { "x-tsdev-request-id": "untraced" }, other)).toEqual({ status: 203, from: "sink" });
    expect(sink.requests.some((request) => request.headers["x-tsdev-request-id"] === "untraced")).toBe(true);
    expect(await ask("net", {}, other)).toMatchObject({ code: "ETSDEV_BLOCKED" });
  } finally {
    await other.stop();
  }
});
