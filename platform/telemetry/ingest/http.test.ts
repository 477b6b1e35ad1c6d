// OTLP over HTTP against a real store: real exporters, the specification's errors, and the hazards of raw bodies.
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { getRequestListener } from "@hono/node-server";
import { SpanKind } from "@opentelemetry/api";
import { OTLPMetricExporter as JsonMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtobufMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { TsdevError } from "../../../sdk/errors.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { getTrace, recordingsFor, spanCount } from "../traces.ts";
import { telemetryHttp } from "./http.ts";
import { Ingest } from "./ingest.ts";
import { ProtobufCursor } from "./protobuf.ts";
import type { Tenant } from "./tables.ts";

let telemetry: TemporaryTelemetry;
let server: Server;
let url: string;
let tenant: Tenant;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  const app = telemetryHttp({
    ingest: new Ingest(telemetry.store),
    authenticate: async (authorization) => (authorization === "Bearer known" ? tenant : null),
  });
  server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1");
  await new Promise((settle) => server.once("listening", settle));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await telemetry[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = newTenant();
});

const headers = { authorization: "Bearer known" };
const json = { ...headers, "content-type": "application/json" };
const protobuf = { ...headers, "content-type": "application/x-protobuf" };

function post(path: string, init: { headers: Record<string, string>; body: string | Uint8Array }): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: "POST",
    headers: init.headers,
    body: init.body as string | Uint8Array<ArrayBuffer>,
  });
}

function stored(): Promise<number> {
  return spanCount(telemetry.store.reader, tenant.organizationId, tenant);
}

function exported(exporter: SpanExporter, spans: ReadableSpan[]): Promise<{ code: number; error?: Error }> {
  return new Promise((settle) => exporter.export(spans, settle));
}

test.each([
  ["protobuf", ProtobufExporter, "none"],
  ["protobuf with gzip", ProtobufExporter, "gzip"],
  ["JSON", JsonExporter, "none"],
  ["JSON with gzip", JsonExporter, "gzip"],
])("an unmodified exporter (%s) is answered once its spans can be read", async (_name, Exporter, compression) => {
  const spans = makeSpans([
    {
      name: "GET /orders",
      kind: SpanKind.SERVER,
      attributes: { "http.route": "/orders", rows: 51, tags: ["a", "b"] },
      events: [{ name: "exception", attributes: { "exception.type": "Error" } }],
      children: [{ name: "SELECT orders", kind: SpanKind.CLIENT, error: "lost", ms: 3 }],
    },
  ]);
  // The enum of the exporter's package is declared as const; its values are these texts.
  const exporter = new Exporter({ url: `${url}/v1/traces`, headers, compression: compression as never });
  expect(await exported(exporter, spans)).toEqual({ code: 0 });
  await exporter.shutdown();

  const root = spans.find((span) => span.name === "GET /orders")!;
  const trace = await getTrace(telemetry.store.reader, tenant.organizationId, root.spanContext().traceId);
  expect(trace?.spans).toMatchObject([
    {
      name: "GET /orders",
      kind: "server",
      service: "shop",
      parentSpanId: null,
      durationMs: 5,
      attributes: { "http.route": "/orders", rows: "51", tags: '["a","b"]' },
      events: [{ name: "exception", attributes: { "exception.type": "Error" } }],
    },
    { name: "SELECT orders", kind: "client", status: "error", statusMessage: "lost", durationMs: 3 },
  ]);
});

test("whose spans they are comes from the token, whatever the body says", async () => {
  const stolen = { Organization: "org_other", organization: "org_other", "tsdev.organization": "org_other" };
  const spans = makeSpans([{ name: "GET /", attributes: stolen }], {
    ...stolen,
    "tsdev.project": "other",
    "tsdev.environment": "other",
    "tsdev.deployment": "dep_7",
  });
  const body = Buffer.from(JsonTraceSerializer.serializeRequest(spans)!).toString();
  expect((await post("/v1/traces", { headers: json, body })).status).toBe(200);
  const rows = await telemetry.store.reader.query(
    "SELECT Organization, Project, Environment, Deployment FROM otel_traces WHERE TraceId = {id:String}",
    { id: spans[0]!.spanContext().traceId },
  );
  expect(rows).toEqual([
    { Organization: tenant.organizationId, Project: "shop", Environment: "production", Deployment: "dep_7" },
  ]);
  expect(await getTrace(telemetry.store.reader, "org_other", spans[0]!.spanContext().traceId)).toBeNull();
});

test.each(["\n\n", "\r\n\r\n", "';--\n\n", "\u0000\n\n\\"])(
  "SQL after %j in any text is stored as text and never run",
  async (separator) => {
    const evil = `x${separator}DROP TABLE otel_traces${separator}TRUNCATE TABLE otel_logs; DROP TABLE recordings`;
    const spans = makeSpans([{ name: evil, attributes: { [evil]: evil }, error: evil }], {
      evil,
      "tsdev.deployment": evil,
    });
    const bodies: Array<[Record<string, string>, Uint8Array]> = [
      [protobuf, ProtobufTraceSerializer.serializeRequest(spans)!],
      [json, JsonTraceSerializer.serializeRequest(spans)!],
      [
        json,
        Buffer.from(
          `\n\n${JSON.stringify(JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(spans)!).toString()), null, 2).replaceAll("\n", "\n\n")}`,
        ),
      ],
    ];
    for (const [kind, body] of bodies) expect((await post("/v1/traces", { headers: kind, body })).status).toBe(200);
    expect(await stored()).toBe(3);
    const trace = await getTrace(telemetry.store.reader, tenant.organizationId, spans[0]!.spanContext().traceId);
    expect(trace?.spans[0]).toMatchObject({ name: evil, statusMessage: evil });
    expect(await telemetry.store.reader.query("SELECT count() >= 0 AS there FROM recordings, otel_logs")).toHaveLength(
      1,
    );
  },
);

test("bytes with blank lines and odd ends in them pass whole", async () => {
  for (const bytes of [
    Buffer.from("\n\n"),
    Buffer.concat([Buffer.from("\n"), randomBytes(200), Buffer.from("\n\n;\n\n")]),
  ]) {
    const spans = makeSpans([{ name: "binary", attributes: { raw: bytes.toString("latin1") } }]);
    const body = ProtobufTraceSerializer.serializeRequest(spans)!;
    expect((await post("/v1/traces", { headers: protobuf, body })).status).toBe(200);
    const trace = await getTrace(telemetry.store.reader, tenant.organizationId, spans[0]!.spanContext().traceId);
    expect(trace?.spans[0]?.attributes.raw).toBe(bytes.toString("latin1"));
  }
});

test("of many requests at once each gets its own answer: a bad one fails alone and every good one is stored", async () => {
  const good = Array.from({ length: 60 }, (_, i) =>
    Buffer.from(ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: `good ${i}` }]))!),
  );
  const bad = [
    [protobuf, Buffer.from("\u0001not protobuf")],
    [protobuf, good[0]!.subarray(0, good[0]!.length - 3)],
    [json, Buffer.from('{"resourceSpans":')],
    [json, Buffer.from('["a list"]')],
  ] as const;
  const answers = await Promise.all([
    ...good.map((body) => post("/v1/traces", { headers: protobuf, body })),
    ...bad.map(([kind, body]) => post("/v1/traces", { headers: kind, body })),
  ]);
  expect(answers.map((answer) => answer.status)).toEqual([...good.map(() => 200), ...bad.map(() => 400)]);
  expect(await stored()).toBe(60);
});

test("a span that is refused is told as a partial success, in the request's encoding", async () => {
  const body = JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(makeSpans([{ name: "good" }]))!).toString());
  body.resourceSpans[0].scopeSpans[0].spans.push({ traceId: "zz", spanId: "1" });
  const answer = await post("/v1/traces", { headers: json, body: JSON.stringify(body) });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({
    partialSuccess: { rejectedSpans: "1", errorMessage: expect.stringContaining("trace id") },
  });
  const ancient = Buffer.from(
    ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "old", ago: 40 * 86_400_000 }]))!,
  );
  const partial = await post("/v1/traces", { headers: protobuf, body: ancient });
  expect(partial.headers.get("content-type")).toBe("application/x-protobuf");
  const cursor = new ProtobufCursor(Buffer.from(await partial.arrayBuffer()));
  cursor.next();
  cursor.range();
  const inner = cursor.inside();
  inner.next();
  expect([inner.field, inner.varint()]).toEqual([1, 1]);
  inner.next();
  inner.range();
  expect(inner.text()).toContain("older than what is kept");
  expect(await stored()).toBe(1);
});

async function rpcStatus(answer: Response): Promise<{ code: number; message: string }> {
  const cursor = new ProtobufCursor(Buffer.from(await answer.arrayBuffer()));
  const status = { code: 0, message: "" };
  while (cursor.next()) {
    if (cursor.field === 1) status.code = cursor.varint();
    else {
      cursor.range();
      status.message = cursor.text();
    }
  }
  return status;
}

test("errors are a google.rpc.Status in the request's encoding", async () => {
  const empty = { body: new Uint8Array() };
  const unknown = await post("/v1/traces", { headers: { "content-type": "application/x-protobuf" }, ...empty });
  expect([unknown.status, await rpcStatus(unknown)]).toEqual([
    401,
    { code: 16, message: expect.stringContaining("token") },
  ]);
  const wrong = await post("/v1/logs", { headers: { ...json, authorization: "Bearer other" }, ...empty });
  expect([wrong.status, await wrong.json()]).toEqual([401, { code: 16, message: expect.any(String) }]);
  const malformed = await post("/v1/traces", { headers: protobuf, body: Buffer.from([0xff, 0xff]) });
  expect([malformed.status, await rpcStatus(malformed)]).toEqual([
    400,
    { code: 3, message: expect.stringContaining("decoded") },
  ]);
  const type = await post("/v1/traces", { headers: { ...headers, "content-type": "text/plain" }, body: "x" });
  expect(type.status).toBe(415);
  const coding = await post("/v1/traces", { headers: { ...protobuf, "content-encoding": "br" }, body: "x" });
  expect(coding.status).toBe(415);
  const notGzip = await post("/v1/traces", { headers: { ...protobuf, "content-encoding": "gzip" }, body: "x" });
  expect(notGzip.status).toBe(400);
});

test("a body that is too large, or becomes so when it is unpacked, is refused with 413", async () => {
  const large = await post("/v1/traces", { headers: protobuf, body: Buffer.alloc(21 * 1024 * 1024) });
  expect([large.status, (await rpcStatus(large)).code]).toEqual([413, 8]);
  const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
  const unpacked = await post("/v1/traces", { headers: { ...protobuf, "content-encoding": "gzip" }, body: bomb });
  expect(unpacked.status).toBe(413);
});

test("deflate and zstd are unpacked, an empty request is a success", async () => {
  for (const [coding, pack] of [
    ["deflate", deflateSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    const body = pack(ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: coding }]))!);
    const answer = await post("/v1/traces", { headers: { ...protobuf, "content-encoding": coding }, body });
    expect([coding, answer.status]).toEqual([coding, 200]);
  }
  expect(await stored()).toBe(2);
  const bomb = zstdCompressSync(Buffer.alloc(200 * 1024 * 1024));
  const unpacked = await post("/v1/traces", { headers: { ...protobuf, "content-encoding": "zstd" }, body: bomb });
  expect(unpacked.status).toBe(413);
  const empty = await post("/v1/traces", { headers: protobuf, body: new Uint8Array() });
  expect([empty.status, (await empty.arrayBuffer()).byteLength]).toEqual([200, 0]);
});

test("a request that is sent again because its answer got lost is stored once", async () => {
  const body = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "again" }]))!;
  const answers = await Promise.all([1, 2, 3].map(() => post("/v1/traces", { headers: protobuf, body })));
  answers.push(
    await post("/v1/traces", { headers: { ...protobuf, "content-encoding": "gzip" }, body: gzipSync(body) }),
  );
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
  expect(await stored()).toBe(1);
  const first = tenant;
  tenant = newTenant();
  await post("/v1/traces", { headers: protobuf, body });
  expect(await stored()).toBe(1);
  expect(first.organizationId).not.toBe(tenant.organizationId);
});

test.each(["protobuf", "JSON"])(
  "metrics of an unmodified exporter (%s) can be read once it is answered",
  async (kind) => {
    const Exporter = kind === "JSON" ? JsonMetricExporter : ProtobufMetricExporter;
    const exporter = new Exporter({ url: `${url}/v1/metrics`, headers });
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({ readers: [reader] });
    const meter = provider.getMeter("m");
    meter.createCounter("requests").add(3, { route: "/" });
    meter.createGauge("level").record(0.5);
    meter.createHistogram("ms").record(12);
    await provider.forceFlush();
    await provider.shutdown();
    const count = (table: string) =>
      telemetry.store.reader
        .query<{ Rows: number }>(`SELECT count() AS Rows FROM ${table} WHERE Organization = {org:String}`, {
          org: tenant.organizationId,
        })
        .then(([row]) => Number(row?.Rows));
    // The reader collects once more when it is shut down.
    for (const table of ["otel_metrics_sum", "otel_metrics_gauge", "otel_metrics_histogram"]) {
      expect(await count(table)).toBeGreaterThanOrEqual(1);
    }
  },
);

test("points that are refused are told as a partial success", async () => {
  const point = { timeUnixNano: `${Date.now()}000000`, asInt: "1" };
  const metrics = [{ name: "m", sum: { dataPoints: [point, { asInt: "2" }] } }, { name: "none" }];
  const body = JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  const answer = await post("/v1/metrics", { headers: json, body });
  expect([answer.status, await answer.json()]).toEqual([
    200,
    { partialSuccess: { rejectedDataPoints: "2", errorMessage: expect.stringContaining("time") } },
  ]);
});

test("other methods than POST are told so", async () => {
  for (const path of ["/v1/traces", "/v1/logs", "/v1/metrics", "/v1/recordings"]) {
    for (const method of ["GET", "HEAD", "PUT"]) {
      const answer = await fetch(`${url}${path}`, { method, headers });
      expect([path, method, answer.status, answer.headers.get("allow")]).toEqual([path, method, 405, "POST"]);
    }
  }
});

test("a body of 100 MB is refused, told in advance or not, and the server goes on", async () => {
  const piece = new Uint8Array(1024 * 1024);
  async function* pieces() {
    for (let i = 0; i < 100; i++) yield piece;
  }
  const told = await post("/v1/traces", { headers: protobuf, body: new Uint8Array(100 * 1024 * 1024) }).then(
    (answer) => answer.status,
    () => "cut off",
  );
  expect([413, "cut off"]).toContain(told);
  const streamed = await fetch(`${url}/v1/traces`, {
    method: "POST",
    headers: protobuf,
    body: ReadableStream.from(pieces()),
    duplex: "half",
  } as RequestInit).then(
    (answer) => answer.status,
    () => "cut off",
  );
  expect([413, "cut off"]).toContain(streamed);
  expect((await post("/v1/traces", { headers: protobuf, body: new Uint8Array() })).status).toBe(200);
});

test("a million different keys of attributes are kept up to the limit, and the next request is taken", async () => {
  const [span] = JSON.parse(
    Buffer.from(JsonTraceSerializer.serializeRequest(makeSpans([{ name: "many" }]))!).toString(),
  ).resourceSpans[0].scopeSpans[0].spans;
  span.attributes = Array.from({ length: 1_000_000 }, (_, i) => ({ key: i.toString(36), value: {} }));
  const body = gzipSync(
    JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }).replaceAll(',"value":{}', ""),
  );
  const answer = await post("/v1/traces", { headers: { ...json, "content-encoding": "gzip" }, body });
  expect([answer.status, await answer.json()]).toEqual([
    200,
    { partialSuccess: { rejectedSpans: "0", errorMessage: expect.stringContaining("attributes") } },
  ]);
  const trace = await getTrace(telemetry.store.reader, tenant.organizationId, span.traceId);
  const attributes = trace!.spans[0]!.attributes as Record<string, string>;
  expect(Object.keys(attributes)).toHaveLength(1_025);
  expect(attributes["otel.dropped_attributes_count"]).toBe("998976");
});

test("many bombs at once are each refused", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const headersOf = { ...protobuf, "content-encoding": "gzip" };
  const before = process.memoryUsage().rss;
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => post("/v1/traces", { headers: headersOf, body: bomb })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([413]));
  expect(process.memoryUsage().rss - before).toBeLessThan(600 * 1024 * 1024);
});

test("recordings that fit are stored, one that does not is refused with its place", async () => {
  const body = { text: '{"evil":"\\n\\nDROP TABLE recordings"}', base64: false, truncated: false };
  const base = {
    traceId: "ab".repeat(16),
    spanId: "cd".repeat(8),
    time: Date.now(),
    durationMs: 3.5,
    headers: {},
    body,
  };
  const request = { ...base, kind: "request", method: "GET", path: "/orders/7?x=1", route: "/orders/:id", status: 200 };
  const run = {
    ...base,
    kind: "run",
    workflow: "order-processing",
    runId: "run_1",
    input: { a: 1 },
    output: null,
    failed: false,
    requestSpanId: null,
  };
  const sent = JSON.stringify({ recordings: [request, { kind: "request", method: 7 }, run] });
  const answer = await post("/v1/recordings", { headers: json, body: sent });
  expect([answer.status, await answer.json()]).toEqual([
    200,
    { accepted: 2, rejected: 1, reason: expect.stringContaining("recordings.1") },
  ]);
  const find = (filter: object) =>
    recordingsFor(telemetry.store.reader, tenant.organizationId, { ...tenant, kind: "request", limit: 10, ...filter });
  expect(await find({ name: "GET /orders/:id" })).toEqual([request]);
  expect(await find({ name: "/orders/:id", traceIds: [base.traceId], since: Date.now() - 60_000 })).toEqual([request]);
  expect(await find({ name: "GET /other" })).toEqual([]);
  expect(await find({ kind: "run", name: "order-processing" })).toMatchObject([{ runId: "run_1", input: { a: 1 } }]);
  expect((await post("/v1/recordings", { headers: { "content-type": "application/json" }, body: sent })).status).toBe(
    401,
  );
});

test("when too much waits, the sender is told to come back", async () => {
  const full = telemetryHttp({
    ingest: new Ingest({
      ...telemetry.store,
      insert: () => Promise.reject(new TsdevError("rate_limited", { message: "full", fix: "wait" })),
    }),
    authenticate: async () => tenant,
  });
  const body = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "late" }]))!;
  for (const attempt of [1, 2]) {
    const answer = await full.request("/v1/traces", {
      method: "POST",
      headers: protobuf,
      body: body as Uint8Array<ArrayBuffer>,
    });
    expect([attempt, answer.status, answer.headers.get("retry-after")]).toEqual([attempt, 429, "1"]);
  }
});
