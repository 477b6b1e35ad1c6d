// HTTP server: each incoming request of a real app process is one span, whatever HTTP does on its connection.
import { Agent, get, request as makeRequest } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AppFolder, appFolder, type RunningApp, startApp } from "./app.fixture.ts";
import { type CollectedSpan, type CollectorFixture, startCollector } from "./collector.fixture.ts";
import { startUpstream, type UpstreamFixture } from "./upstream.fixture.ts";

let collector: CollectorFixture;
let upstream: UpstreamFixture;
let folder: AppFolder;
let file: string;
let app: RunningApp;

beforeAll(async () => {
  [collector, upstream] = await Promise.all([startCollector(), startUpstream()]);
  folder = appFolder();
  file = folder.add("server.mjs");
  app = await start({});
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([collector?.leave(), upstream?.stop()]);
  folder?.remove();
});

const start = (env: Record<string, string>) =>
  startApp({
    file,
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, UPSTREAM: upstream.url, ...env },
  });

async function spansOf(path: string, count = 1): Promise<CollectedSpan[]> {
  return collector.until(`${count} spans of ${path}`, ({ spans }) => {
    const found = spans.filter((span) => span.kind === 2 && span.attributes["url.path"] === path);
    return found.length >= count && found;
  });
}

/** Sends bytes and answers what came back until `enough`. */
function talk(bytes: string, enough: (text: string) => boolean): Promise<string> {
  return new Promise((done, failed) => {
    let text = "";
    const socket = connect(Number(new URL(app.url).port), "127.0.0.1", () => socket.write(bytes));
    socket.on("error", failed);
    socket.on("data", (chunk) => {
      text += chunk;
      if (!enough(text)) return;
      socket.destroy();
      done(text);
    });
  });
}

test("a span says what was asked, by whom, and how it ended", async () => {
  await app.get("/plain/42?page=2&token=verysecret", { headers: { "user-agent": "tester/1" } });
  const [span] = await spansOf("/plain/42");
  expect(span?.name).toBe("GET /plain/:id");
  expect(span?.status).toBe(0);
  expect(span?.attributes).toMatchObject({
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.scheme": "http",
    "url.query": "page=2&token=%5Bredacted%5D",
    "url.template": "/plain/:id",
    "server.address": "127.0.0.1",
    "server.port": Number(new URL(app.url).port),
    "network.peer.address": "127.0.0.1",
    "network.protocol.version": "1.1",
    "client.address": "127.0.0.1",
    "user_agent.original": "tester/1",
  });
});

test("behind a proxy the client and the host are the ones that it forwards", async () => {
  await app.get("/proxied", {
    headers: {
      "x-forwarded-for": "203.0.113.9, 10.0.0.1",
      "x-forwarded-host": "shop.example",
      "x-forwarded-proto": "https",
    },
  });
  const [span] = await spansOf("/proxied");
  expect(span?.attributes).toMatchObject({
    "client.address": "203.0.113.9",
    "server.address": "shop.example",
    "server.port": 443,
    "network.peer.address": "127.0.0.1",
  });
});

test("two requests on one kept connection are two traces", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = () =>
    new Promise<void>((done) => get(`${app.url}/kept`, { agent }, (answer) => answer.resume().on("end", done)));
  await ask();
  await ask();
  agent.destroy();
  const spans = await spansOf("/kept", 2);
  expect(new Set(spans.map((span) => span.traceId)).size).toBe(2);
  expect(new Set(spans.map((span) => span.attributes["network.peer.port"])).size).toBe(1);
  expect(spans.every((span) => span.parentSpanId === "")).toBe(true);
});

test("pipelined requests are a span each", async () => {
  const one = (path: string) => `GET ${path} HTTP/1.1\r\nHost: app\r\n\r\n`;
  const text = await talk(one("/pipelined/a") + one("/pipelined/b") + one("/pipelined/c"), (got) =>
    got.includes("pipelined/c"),
  );
  expect(text.match(/answer to \S+[abc]/g)).toHaveLength(3);
  const spans = await Promise.all(["a", "b", "c"].map((name) => spansOf(`/pipelined/${name}`)));
  expect(new Set(spans.map(([span]) => span?.traceId)).size).toBe(3);
});

test("a HEAD request is a span", async () => {
  await app.get("/head", { method: "HEAD" });
  const [span] = await spansOf("/head");
  expect(span?.name).toBe("HEAD /head");
});

test("an unknown method counts as other, with its own name beside it", async () => {
  await talk("PURGE /purged HTTP/1.1\r\nHost: app\r\n\r\n", (got) => got.includes("purged"));
  const [span] = await spansOf("/purged");
  expect(span?.attributes).toMatchObject({ "http.request.method": "_OTHER", "http.request.method_original": "PURGE" });
});

test.each<Record<string, string>>([{}, { CHECK_CONTINUE: "1" }])(
  "a request that waits for a go-ahead is one span: %o",
  async (env) => {
    const other = await start(env);
    try {
      const path = `/expect-${Object.keys(env).length}`;
      await new Promise<void>((done, failed) => {
        const sent = makeRequest(other.url + path, { method: "POST", headers: { expect: "100-continue" } }, (answer) =>
          answer.resume().on("end", done),
        );
        sent.on("continue", () => sent.end("body"));
        sent.on("error", failed);
      });
      await other.get("/after");
      await spansOf("/after");
      expect(await spansOf(path)).toHaveLength(1);
    } finally {
      await other.stop();
    }
  },
);

test("an upgraded connection works and is no span", async () => {
  const text = await talk(
    "GET /upgraded HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello",
    (got) => got.includes("hello"),
  );
  expect(text).toContain("101 Switching Protocols");
  await app.get("/after-upgrade");
  await spansOf("/after-upgrade");
  expect(collector.spans.some((span) => span.attributes["url.path"] === "/upgraded")).toBe(false);
});

test("a listener on the request runs in the request's context", async () => {
  await app.get("/listener", { method: "POST", body: "text" });
  const [server] = await spansOf("/listener");
  const own = await collector.until("the app's own span", ({ spans }) =>
    spans.find((span) => span.name === "in the listener"),
  );
  expect(own).toMatchObject({ parentSpanId: server?.spanId, traceId: server?.traceId, scope: "own", kind: 1 });
  expect(own.attributes.own).toBe(true);
});

test("an answer of 500 or more is an error", async () => {
  await app.get("/fails");
  const [span] = await spansOf("/fails");
  expect(span).toMatchObject({ status: 2, attributes: { "http.response.status_code": 503 } });
});

test("a handler that throws is an error, and the process sees what it threw", async () => {
  const sent = get(`${app.url}/throws`);
  sent.on("error", () => {});
  const [span] = await spansOf("/throws");
  sent.destroy();
  expect(span).toMatchObject({ status: 2, attributes: { "error.type": "TypeError" } });
});

test("a request whose client goes away before the answer ends without a status", async () => {
  const sent = get(`${app.url}/never`);
  sent.on("error", () => {});
  await collector.until("the handler", () => app.output().includes("waiting"));
  sent.destroy();
  const [span] = await spansOf("/never");
  expect(span?.attributes).not.toHaveProperty("http.response.status_code");
  expect(app.output()).toContain("closed");
});

test.each([
  ["http", "/outgoing", "5"],
  ["fetch", "/fetching", "6"],
])(
  "a trace that the caller does not sample is not sent, and says so to whom it calls by %s",
  async (how, path, digit) => {
    const traceId = digit.repeat(32);
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-00`, tracestate: "vendor=1", baggage: "tenant=7" };
    await app.get(path, { headers });
    const call = upstream.requests.find(({ headers }) => String(headers.traceparent).includes(traceId));
    expect(call?.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    expect(call?.headers).toMatchObject({ tracestate: "vendor=1", baggage: "tenant=7" });
    if (how === "fetch") expect(call?.headers["x-own"]).toBe("kept");
    await app.get(`/after-unsampled-${how}`);
    await spansOf(`/after-unsampled-${how}`);
    expect(collector.spans.some((span) => span.traceId === traceId)).toBe(false);
  },
);

test("with a ratio of traces, one of them is whole or not there, and carries the ratio", async () => {
  const other = await start({
    OTEL_TRACES_SAMPLER: "traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.5",
    OTEL_SERVICE_NAME: "half",
  });
  try {
    const before = upstream.requests.length;
    for (let index = 0; index < 60; index++) await other.get("/outgoing");
    const calls = upstream.requests.slice(before).map(({ headers }) => ({
      kept: String(headers.traceparent).endsWith("-01"),
      traceId: String(headers.traceparent).split("-")[1],
      state: headers.tracestate,
    }));
    const kept = calls.filter((call) => call.kept);
    // Of 60 fair draws fewer than 5 or more than 55 come once in 10^11 runs.
    expect(kept.length).toBeGreaterThan(4);
    expect(kept.length).toBeLessThan(56);
    for (const { state } of calls) expect(state).toBe("ot=th:8");
    const spans = await collector.until("both spans of each", ({ spans }) => {
      const mine = spans.filter((span) => span.resource["service.name"] === "half");
      return mine.length >= kept.length * 2 && mine;
    });
    expect(spans).toHaveLength(kept.length * 2);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set(kept.map((call) => call.traceId)));
  } finally {
    await other.stop();
  }
});
