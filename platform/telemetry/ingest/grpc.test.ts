// OTLP over gRPC against a real store: real exporters, the codes of refusals, limits, and the end of the server.
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { Client, credentials, type Metadata, Metadata as MetadataOf, type ServiceError } from "@grpc/grpc-js";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { TsdevError } from "../../../sdk/errors.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { spanCount } from "../traces.ts";
import { listenGrpc, type TelemetryGrpc } from "./grpc.ts";
import { Ingest } from "./ingest.ts";
import { ProtobufCursor } from "./protobuf.ts";
import type { Tenant } from "./tables.ts";

let telemetry: TemporaryTelemetry;
let server: TelemetryGrpc;
let tenant: Tenant;

const authenticate = async (authorization: string | undefined) => (authorization === "Bearer known" ? tenant : null);

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  server = await listenGrpc({ ingest: new Ingest(telemetry.store), authenticate, port: 0 });
});
afterAll(async () => {
  await server.close();
  await telemetry[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = newTenant();
});

function metadata(values: Record<string, string> = { authorization: "Bearer known" }): Metadata {
  const made = new MetadataOf();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}

const traces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/** One call with the bytes of its message. */
function call(
  url: string,
  body: Uint8Array,
  options: { path?: string; metadata?: Metadata; gzip?: boolean } = {},
): Promise<{ answer: Buffer } | { error: ServiceError }> {
  const client = new Client(url.replace("http://", ""), credentials.createInsecure(), {
    "grpc.default_compression_algorithm": options.gzip === true ? 2 : 0,
    "grpc.max_send_message_length": -1,
  });
  const same = (bytes: Buffer) => bytes;
  return new Promise((settle) => {
    const given = options.metadata ?? metadata();
    client.makeUnaryRequest(options.path ?? traces, same, same, Buffer.from(body), given, (error, answer) => {
      client.close();
      settle(error === null ? { answer: answer ?? Buffer.alloc(0) } : { error });
    });
  });
}

function rowsIn(table: string): Promise<number> {
  return telemetry.store.reader
    .query<{ Rows: number }>(`SELECT count() AS Rows FROM ${table} WHERE Organization = {org:String}`, {
      org: tenant.organizationId,
    })
    .then(([row]) => Number(row?.Rows));
}

test.each(["none", "gzip"])(
  "an unmodified exporter of traces (%s) is answered once its spans can be read",
  async (compression) => {
    const exporter = new OTLPTraceExporter({
      url: server.url,
      metadata: metadata(),
      compression: compression as never,
    });
    const spans = makeSpans([{ name: "GET /", children: [{ name: "SELECT" }] }]);
    expect(await new Promise((settle) => exporter.export(spans, settle))).toEqual({ code: 0 });
    await exporter.shutdown();
    expect(await spanCount(telemetry.store.reader, tenant.organizationId, tenant)).toBe(2);
  },
);

test("unmodified exporters of logs and metrics are answered once their rows can be read", async () => {
  const logs = new LoggerProvider({
    processors: [
      new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter({ url: server.url, metadata: metadata() }) }),
    ],
  });
  logs.getLogger("l").emit({ body: "ready", severityNumber: 9 });
  await logs.forceFlush();
  await logs.shutdown();
  expect(await rowsIn("otel_logs")).toBe(1);
  const exporter = new OTLPMetricExporter({ url: server.url, metadata: metadata() });
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meters = new MeterProvider({ readers: [reader] });
  meters.getMeter("m").createCounter("requests").add(1);
  await meters.forceFlush();
  await meters.shutdown();
  expect(await rowsIn("otel_metrics_sum")).toBeGreaterThanOrEqual(1);
});

test("without a known token the call is UNAUTHENTICATED, and nothing is stored", async () => {
  const body = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "x" }]))!;
  for (const given of [metadata({}), metadata({ authorization: "Bearer other" })]) {
    expect(await call(server.url, body, { metadata: given })).toMatchObject({ error: { code: 16 } });
  }
  expect(await rowsIn("otel_traces")).toBe(0);
});

test("what is no message is INVALID_ARGUMENT, a span that is refused a partial success, an empty message a success", async () => {
  expect(await call(server.url, Buffer.from([0xff, 0xff]))).toMatchObject({
    error: { code: 3, details: expect.stringContaining("decoded") },
  });
  const old = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "old", ago: 40 * 86_400_000 }]))!;
  const partial = await call(server.url, old);
  const cursor = new ProtobufCursor("answer" in partial ? partial.answer : Buffer.alloc(0));
  cursor.next();
  cursor.range();
  const inner = cursor.inside();
  inner.next();
  expect(inner.varint()).toBe(1);
  expect(await call(server.url, Buffer.alloc(0))).toEqual({ answer: Buffer.alloc(0) });
  expect(
    await call(server.url, Buffer.alloc(0), {
      path: "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
    }),
  ).toMatchObject({
    error: { code: 12 },
  });
});

test("a message larger than 20 MiB, or one that unpacks to more, is RESOURCE_EXHAUSTED and is not to be repeated", async () => {
  for (const gzip of [false, true]) {
    const result = await call(server.url, Buffer.alloc(21 * 1024 * 1024), { gzip });
    expect(result).toMatchObject({ error: { code: 8 } });
    expect("error" in result && result.error.metadata.get("grpc-status-details-bin")).toEqual([]);
  }
  // They leave their places to others at once.
  const many = Array.from({ length: 20 }, () => call(server.url, Buffer.alloc(21 * 1024 * 1024), { gzip: true }));
  expect(await Promise.all(many)).toEqual(many.map(() => expect.objectContaining({ error: expect.anything() })));
  expect(await call(server.url, Buffer.alloc(0))).toEqual({ answer: Buffer.alloc(0) });
  // The codings of the body are gRPC's own affair.
  const packed = gzipSync(ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "x" }]))!);
  expect(await call(server.url, packed)).toMatchObject({ error: { code: 3 } });
});

test("calls that send nothing hold no place for ever, and those without a token none at all", {
  timeout: 20_000,
}, async () => {
  const slow = await listenGrpc({ ingest: new Ingest(telemetry.store), authenticate, port: 0, receivingMs: 300 });
  const session = connect(slow.url);
  try {
    const silent = Array.from({ length: 40 }, () =>
      session.request({
        ":method": "POST",
        ":path": traces,
        "content-type": "application/grpc",
        te: "trailers",
        authorization: "Bearer known",
      }),
    );
    for (const stream of silent) stream.on("error", () => undefined).resume();
    const unknown = await call(slow.url, Buffer.alloc(19 * 1024 * 1024), { metadata: metadata({}) });
    expect(unknown).toMatchObject({ error: { code: 16 } });
    const body = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "after the silent" }]))!;
    expect(await call(slow.url, body)).toEqual({ answer: Buffer.alloc(0) });
  } finally {
    session.destroy();
    await slow.close();
  }
});

test.each([
  ["rate_limited", 8],
  ["unavailable", 14],
] as const)("where the store answers %s the sender is told when to come back", async (code, expected) => {
  const ingest = new Ingest({
    ...telemetry.store,
    insert: () => Promise.reject(new TsdevError(code, { message: "full", fix: "wait" })),
  });
  const full = await listenGrpc({ ingest, authenticate, port: 0 });
  try {
    const result = await call(full.url, ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "late" }]))!);
    expect(result).toMatchObject({ error: { code: expected } });
    const [details] = "error" in result ? result.error.metadata.get("grpc-status-details-bin") : [];
    expect(details).toBeInstanceOf(Buffer);
    expect((details as Buffer).includes("google.rpc.RetryInfo")).toBe(true);
  } finally {
    await full.close();
  }
});

test("a call that runs while the server ends is answered, and the port is free after it", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const ingest = new Ingest({
    ...telemetry.store,
    insert: async () => {
      begun.resolve();
      await gate.promise;
    },
  });
  const ending = await listenGrpc({ ingest, authenticate, port: 0 });
  const running = call(ending.url, ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "last" }]))!);
  await begun.promise;
  const closed = ending.close();
  gate.resolve();
  expect(await running).toEqual({ answer: Buffer.alloc(0) });
  await closed;
  const again = await listenGrpc({ ingest, authenticate, port: ending.port });
  const next = await listenGrpc({ ingest, authenticate, port: ending.port, orNextFree: true });
  expect(next.port).not.toBe(again.port);
  await expect(listenGrpc({ ingest, authenticate, port: again.port })).rejects.toMatchObject({ code: "port_taken" });
  await Promise.all([again.close(), next.close()]);
});
