// Unmodified exporters of other languages, and the Collector, send all signals here and can be read at once.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { getTrace } from "../traces.ts";
import { hasProgram, type Ran, ranWith, runGoApp, runPythonApp, startCollector } from "./exporters.fixture.ts";
import { listenGrpc, type TelemetryGrpc } from "./grpc.ts";
import { telemetryHttp } from "./http.ts";
import { Ingest } from "./ingest.ts";
import type { Tenant } from "./tables.ts";

/** Where something is built for the first time on a machine. */
const buildMs = 600_000;

let telemetry: TemporaryTelemetry;
let server: Server;
let grpc: TelemetryGrpc;
let url: string;
let tenant: Tenant;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  const senders = {
    ingest: new Ingest(telemetry.store),
    authenticate: async (authorization: string | undefined) => (authorization === "Bearer known" ? tenant : null),
  };
  server = createServer(getRequestListener(telemetryHttp(senders).fetch)).listen(0, "127.0.0.1");
  await new Promise((settle) => server.once("listening", settle));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  grpc = await listenGrpc({ ...senders, port: 0 });
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await grpc.close();
  await telemetry[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = newTenant();
});

/** Of a Collector's exporter. */
const withToken = "headers: { authorization: Bearer known }";

/** What `tsdev otlp` prints. */
function variables(protocol: string): Record<string, string> {
  return {
    OTEL_SERVICE_NAME: "shop",
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_EXPORTER_OTLP_ENDPOINT: protocol === "grpc" ? grpc.url : url,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer known",
  };
}

async function rowsIn(table: string, columns: string): Promise<unknown[]> {
  return telemetry.store.reader.query(
    `SELECT ${columns} FROM ${table} WHERE Organization = {org:String} AND ServiceName = 'shop' ORDER BY ALL`,
    { org: tenant.organizationId },
  );
}

/** All that an app of `__fixtures__` sends. */
async function expectAll(ran: Ran): Promise<void> {
  expect(ran).toMatchObject({ code: 0, errors: "" });
  const traceId = ran.output.trim();
  const trace = await getTrace(telemetry.store.reader, tenant.organizationId, traceId);
  expect(trace?.spans).toMatchObject([
    {
      name: "GET /orders",
      kind: "server",
      service: "shop",
      attributes: { "http.route": "/orders", tags: '["a","b"]' },
    },
    { name: "SELECT orders", kind: "client", status: "error", statusMessage: "lost" },
  ]);
  expect(await rowsIn("otel_logs", "Body, SeverityNumber, TraceId")).toEqual([
    { Body: "order taken", SeverityNumber: 9, TraceId: traceId },
  ]);
  expect(await rowsIn("otel_metrics_sum", "MetricName, Value, IsMonotonic, Attributes")).toContainEqual({
    MetricName: "requests",
    Value: 3,
    IsMonotonic: true,
    Attributes: { route: "/orders" },
  });
  expect(await rowsIn("otel_metrics_gauge", "MetricName, Value")).toContainEqual({ MetricName: "level", Value: 0.5 });
  expect(
    await rowsIn("otel_metrics_histogram", "MetricName, Sum, Min, Max, arraySum(BucketCounts) AS Buckets"),
  ).toContainEqual({
    MetricName: "explicit",
    Sum: 12,
    Min: 12,
    Max: 12,
    Buckets: 1,
  });
  expect(
    await rowsIn("otel_metrics_exponential_histogram", "MetricName, Sum, arraySum(PositiveBucketCounts) AS Buckets"),
  ).toContainEqual({ MetricName: "exponential", Sum: 12, Buckets: 1 });
}

describe.skipIf(!(await hasProgram("go", ["version"], "Go's exporters and the Collector")))("Go", () => {
  test.each(["http/protobuf", "grpc"])("Go's SDK (%s)", { timeout: buildMs }, async (protocol) => {
    await expectAll(await runGoApp(variables(protocol)));
  });

  test.each([
    ["HTTP with protobuf and zstd", () => `otlp_http: { endpoint: "${url}", ${withToken}, compression: zstd }`],
    ["HTTP with JSON", () => `otlp_http: { endpoint: "${url}", ${withToken}, encoding: json }`],
    ["gRPC", () => `otlp_grpc: { endpoint: "${new URL(grpc.url).host}", ${withToken}, tls: { insecure: true } }`],
  ])("a Collector passes on what an app sends it, by %s", { timeout: buildMs }, async (_name, exporter) => {
    await using collector = await startCollector(exporter());
    const ran = await runGoApp({ ...variables("http/protobuf"), OTEL_EXPORTER_OTLP_ENDPOINT: collector.http });
    await vi.waitFor(() => expectAll(ran), { timeout: 30_000 });
  });

  test("a Collector takes what our SDK sends it", { timeout: buildMs }, async () => {
    await using collector = await startCollector(`otlp_http: { endpoint: "${url}", ${withToken} }`);
    const hook = pathToFileURL(join(import.meta.dirname, "../../../sdk/register.ts")).href;
    const app = `await (await fetch("${url}/v1/nothing")).text();`;
    const env = { ...variables("http/json"), OTEL_EXPORTER_OTLP_ENDPOINT: collector.http };
    const ran = await ranWith(process.execPath, ["--import", hook, "--input-type=module", "-e", app], env);
    expect(ran).toMatchObject({ code: 0 });
    await vi.waitFor(
      async () =>
        expect(await rowsIn("otel_traces", "SpanKind, StatusCode")).toEqual([
          { SpanKind: "Client", StatusCode: "Error" },
        ]),
      { timeout: 30_000 },
    );
  });

  test("a Collector keeps what it could not deliver while we were full, and delivers it then", {
    timeout: buildMs,
  }, async () => {
    let refusals = 2;
    const ingest = new Ingest({
      ...telemetry.store,
      insert(...given) {
        if (refusals-- > 0) return Promise.reject(new Error("full"));
        return telemetry.store.insert(...given);
      },
    });
    const own = createServer(
      getRequestListener(telemetryHttp({ ingest, authenticate: async () => tenant }).fetch),
    ).listen(0, "127.0.0.1");
    await new Promise((settle) => own.once("listening", settle));
    const endpoint = `http://127.0.0.1:${(own.address() as AddressInfo).port}`;
    try {
      await using collector = await startCollector(
        `otlp_http: { endpoint: "${endpoint}", retry_on_failure: { initial_interval: 100ms, randomization_factor: 0 } }`,
      );
      const [span] = makeSpans([{ name: "kept" }]);
      const answer = await fetch(`${collector.http}/v1/traces`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: Buffer.from(JsonTraceSerializer.serializeRequest([span!])!),
      });
      expect(answer.status).toBe(200);
      await vi.waitFor(async () => expect(await rowsIn("otel_traces", "SpanName")).toEqual([{ SpanName: "kept" }]), {
        timeout: 30_000,
      });
      expect(refusals).toBeLessThan(0);
    } finally {
      own.closeAllConnections();
      own.close();
    }
  });
});

describe.skipIf(!(await hasProgram("python3", ["-m", "pip", "--version"], "Python's exporters")))("Python", () => {
  test.each(["http/protobuf", "grpc"])("Python's SDK (%s)", { timeout: buildMs }, async (protocol) => {
    await expectAll(await runPythonApp(variables(protocol)));
  });
});
