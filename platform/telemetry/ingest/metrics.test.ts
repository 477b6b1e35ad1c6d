// Metrics to rows: protobuf and JSON give the same bytes, and the tables hold what was sent.
import { ValueType } from "@opentelemetry/api";
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { encodeJsonMetrics } from "./metrics-json.ts";
import { encodeProtobufMetrics } from "./metrics-protobuf.ts";
import type { EncodedMetrics } from "./metrics-rows.ts";
import { protobufOf } from "./otlp-messages.fixture.ts";
import { encodeFields } from "./protobuf.ts";
import { liveBounds } from "./tables.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const bounds = liveBounds(30);
const now = `${Date.now()}000000`;
const began = `${Date.now() - 60_000}000000`;

let telemetry: TemporaryTelemetry;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(() => telemetry[Symbol.asyncDispose]());

/** Metrics as the real SDK makes them, of every instrument it has. */
async function sdkMetrics(temporality: AggregationTemporality): Promise<ResourceMetrics> {
  const exporter = new InMemoryMetricExporter(temporality);
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ "service.name": "shop", "tsdev.deployment": "dep_1", tags: ["a", "b"] }),
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
    views: [
      { instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
      {
        instrumentName: "no-extent",
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: [1, 2], recordMinMax: false },
        },
      },
    ],
  });
  const meter = provider.getMeter("test-scope", "1.2.3", { schemaUrl: "https://opentelemetry.io/schemas/1.38.0" });
  const labels = { "http.route": "/orders/:id", umlaut: "Grüße 🎈", status: 200, ok: true };
  meter
    .createCounter("requests", { unit: "{request}", description: "Requests", valueType: ValueType.INT })
    .add(7, labels);
  meter.createUpDownCounter("open", { valueType: ValueType.DOUBLE }).add(-2.5, labels);
  meter.createObservableGauge("memory").addCallback((result) => result.observe(1.5e300, labels));
  meter.createGauge("level", { valueType: ValueType.INT }).record(Number.MIN_SAFE_INTEGER);
  for (const value of [0, 0.001, 3, 70, 1e9]) {
    for (const name of ["explicit", "exponential", "no-extent"]) meter.createHistogram(name).record(value, labels);
  }
  meter.createHistogram("explicit").record(Number.NaN);
  await provider.forceFlush();
  const [metrics] = exporter.getMetrics();
  await provider.shutdown();
  return metrics!;
}

function bytesOf(encoded: EncodedMetrics): Record<string, string> {
  return Object.fromEntries(
    encoded.tables.map(({ table, rows, count }) => [table, `${count} ${rows.toString("hex")}`]),
  );
}

test.each([AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])(
  "what the SDK's serializers write (temporality %s) is the same rows from protobuf and from JSON",
  async (temporality) => {
    const metrics = await sdkMetrics(temporality);
    const protobuf = encodeProtobufMetrics(ProtobufMetricsSerializer.serializeRequest(metrics)!, tenant, bounds);
    const json = JSON.parse(Buffer.from(JsonMetricsSerializer.serializeRequest(metrics)!).toString());
    const rows = encodeJsonMetrics(json, tenant, bounds);
    expect(protobuf).toMatchObject({ rejected: 0, reason: "" });
    expect(protobuf.accepted).toBeGreaterThanOrEqual(7);
    expect(rows).toMatchObject({ accepted: protobuf.accepted, rejected: 0, reason: "" });
    expect(Object.keys(bytesOf(protobuf))).toHaveLength(4);
    expect(bytesOf(rows)).toEqual(bytesOf(protobuf));
  },
);

const attributes = [{ key: "route", value: { stringValue: "/orders" } }];
const exemplar = {
  filteredAttributes: [{ key: "user", value: { intValue: "7" } }],
  timeUnixNano: now,
  asInt: "-9223372036854775808",
  spanId: "cd".repeat(8),
  traceId: "ab".repeat(16),
};
const point = { attributes, startTimeUnixNano: began, timeUnixNano: now };
const max = "18446744073709551615";

function request(...metrics: object[]): Record<string, unknown> {
  return {
    resourceMetrics: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }], droppedAttributesCount: 2 },
        scopeMetrics: [
          {
            scope: { name: "s", version: "1", attributes, droppedAttributesCount: 4294967295 },
            metrics,
            schemaUrl: "https://scope",
          },
        ],
        schemaUrl: "https://resource",
      },
    ],
  };
}

const everyKind = request(
  {
    name: "gauge",
    unit: "1",
    gauge: { dataPoints: [{ ...point, asInt: "9223372036854775807", exemplars: [exemplar] }] },
  },
  // No recorded value: flag 1, and no value at all.
  { name: "none", gauge: { dataPoints: [{ ...point, flags: 1 }] } },
  {
    name: "sum",
    sum: {
      dataPoints: [
        { ...point, asDouble: -0.5, exemplars: [{ ...exemplar, asInt: undefined, asDouble: 1.25 }] },
        { ...point, asInt: "-9223372036854775808" },
      ],
      aggregationTemporality: 1,
      isMonotonic: true,
    },
  },
  {
    name: "histogram",
    histogram: {
      dataPoints: [
        { ...point, count: max, sum: 12.5, bucketCounts: [max, "0", 3], explicitBounds: [-1.5, 2], min: -4, max: 9 },
        { ...point, count: "2" },
      ],
      aggregationTemporality: 2,
    },
  },
  {
    name: "exponential",
    exponentialHistogram: {
      dataPoints: [
        {
          ...point,
          count: "6",
          sum: 3,
          scale: -11,
          zeroCount: "2",
          positive: { offset: -2147483648, bucketCounts: ["1", max] },
          negative: { offset: 2147483647, bucketCounts: ["2"] },
          exemplars: [exemplar, { timeUnixNano: now }],
          min: -1,
          max: 8,
        },
      ],
      aggregationTemporality: 1,
    },
  },
  {
    name: "summary",
    summary: {
      dataPoints: [
        {
          ...point,
          count: "3",
          sum: 6,
          quantileValues: [
            { quantile: 0.5, value: 1 },
            { quantile: 1, value: 4.5 },
          ],
        },
      ],
    },
  },
);

test("every kind, with exemplars and numbers of 64 bits at their ends, is the same rows from protobuf and from JSON", () => {
  const protobuf = encodeProtobufMetrics(protobufOf("Metrics", everyKind), tenant, bounds);
  const json = encodeJsonMetrics(JSON.parse(JSON.stringify(everyKind)), tenant, bounds);
  expect(protobuf).toMatchObject({ accepted: 8, rejected: 0, reason: "" });
  expect(bytesOf(json)).toEqual(bytesOf(protobuf));
});

test("the tables hold every kind as it was sent; what a point does not have is 0, as the Collector's exporter has it", async () => {
  const own = newTenant();
  const encoded = encodeProtobufMetrics(protobufOf("Metrics", everyKind), own, bounds);
  for (const { table, rows, count } of encoded.tables) await telemetry.store.insert(table, rows, count);
  const read = (table: string, columns: string) =>
    telemetry.store.reader.query(
      `SELECT MetricName, ${columns} FROM ${table} WHERE Organization = {org:String} ORDER BY MetricName, Value1`,
      { org: own.organizationId },
    );
  expect(
    await read(
      "otel_metrics_gauge",
      "Value, Value AS Value1, Flags, MetricUnit, ServiceName, ScopeName, ScopeDroppedAttrCount, ResourceAttributes, Attributes, Exemplars.Value, Exemplars.TraceId, Exemplars.SpanId, Exemplars.FilteredAttributes, RetentionDays",
    ),
  ).toMatchObject([
    {
      MetricName: "gauge",
      // Integers past 2^53 are read as texts.
      Value: "9223372036854776000",
      Flags: 0,
      MetricUnit: "1",
      ServiceName: "shop",
      ScopeName: "s",
      ScopeDroppedAttrCount: 4294967295,
      ResourceAttributes: { "service.name": "shop", "otel.dropped_attributes_count": "2" },
      Attributes: { route: "/orders" },
      "Exemplars.Value": ["-9223372036854776000"],
      "Exemplars.TraceId": ["ab".repeat(16)],
      "Exemplars.SpanId": ["cd".repeat(8)],
      "Exemplars.FilteredAttributes": [{ user: "7" }],
      RetentionDays: 30,
    },
    { MetricName: "none", Value: 0, Flags: 1 },
  ]);
  expect(
    await read("otel_metrics_sum", "Value AS Value1, AggregationTemporality, IsMonotonic, Exemplars.Value"),
  ).toMatchObject([
    { Value1: "-9223372036854776000", AggregationTemporality: 1, IsMonotonic: true },
    { Value1: -0.5, "Exemplars.Value": [1.25] },
  ]);
  expect(
    await read(
      "otel_metrics_histogram",
      "toString(Count) AS Counted, Sum, Sum AS Value1, arrayMap(x -> toString(x), BucketCounts) AS Buckets, ExplicitBounds, Min, Max, AggregationTemporality",
    ),
  ).toMatchObject([
    { Counted: "2", Sum: 0, Buckets: [], Min: 0, Max: 0 },
    { Counted: max, Sum: 12.5, Buckets: [max, "0", "3"], ExplicitBounds: [-1.5, 2], Min: -4, Max: 9 },
  ]);
  expect(
    await read(
      "otel_metrics_exponential_histogram",
      "Scale, Scale AS Value1, ZeroCount, PositiveOffset, NegativeOffset, arrayMap(x -> toString(x), PositiveBucketCounts) AS Positive, Min, Max",
    ),
  ).toMatchObject([
    { Scale: -11, PositiveOffset: -2147483648, NegativeOffset: 2147483647, Positive: ["1", max], Min: -1, Max: 8 },
  ]);
  expect(
    await read("otel_metrics_summary", "Count AS Value1, Sum, ValueAtQuantiles.Quantile, ValueAtQuantiles.Value"),
  ).toMatchObject([{ Sum: 6, "ValueAtQuantiles.Quantile": [0.5, 1], "ValueAtQuantiles.Value": [1, 4.5] }]);
});

test("a metric without a kind, or of an unknown one, an old point and a broken histogram are refused alone, with a reason", () => {
  const cases: Array<[object, number, string]> = [
    [request({ name: "nothing" }), 1, "gauge, sum, histogram"],
    [request({ name: "old", gauge: { dataPoints: [{ timeUnixNano: "1", asInt: 1 }, point] } }), 1, "older than"],
    [request({ name: "timeless", gauge: { dataPoints: [{ asInt: 1 }] } }), 1, "time"],
    [
      request({
        name: "broken",
        histogram: { dataPoints: [{ ...point, bucketCounts: ["1"], explicitBounds: [1, 2] }, point] },
      }),
      1,
      "bucket count",
    ],
  ];
  for (const [body, rejected, reason] of cases) {
    const expected = { rejected, reason: expect.stringContaining(reason) };
    expect(encodeJsonMetrics(body as never, tenant, bounds)).toMatchObject(expected);
    expect(encodeProtobufMetrics(protobufOf("Metrics", body), tenant, bounds)).toMatchObject(expected);
  }
  const unknown = encodeFields([
    [1, encodeFields([[2, encodeFields([[2, encodeFields([[12, "a kind of tomorrow"]])]])]])],
  ]);
  expect(encodeProtobufMetrics(unknown, tenant, bounds)).toMatchObject({ accepted: 0, rejected: 1 });
  expect(encodeJsonMetrics(request({ name: "empty", sum: {} }), tenant, bounds)).toMatchObject({
    accepted: 0,
    rejected: 0,
  });
});

test("lists of numbers are read packed and one by one, and numbers in JSON as texts or bare", () => {
  const time = Buffer.alloc(9);
  time[0] = (3 << 3) | 1;
  time.writeBigUInt64LE(BigInt(now), 1);
  const single = (field: number, write: (bytes: Buffer) => void) => {
    const bytes = Buffer.alloc(9);
    bytes[0] = (field << 3) | 1;
    write(bytes);
    return bytes;
  };
  const unpacked = Buffer.concat([
    time,
    single(6, (bytes) => bytes.writeBigUInt64LE(5n, 1)),
    single(6, (bytes) => bytes.writeBigUInt64LE(6n, 1)),
    single(7, (bytes) => bytes.writeDoubleLE(2.5, 1)),
  ]);
  const wrap = (point: Buffer) =>
    encodeFields([[1, encodeFields([[2, encodeFields([[2, encodeFields([[9, encodeFields([[1, point]])]])]])]])]]);
  const json = (bucketCounts: unknown[], explicitBounds: unknown[]) => ({
    resourceMetrics: [
      {
        scopeMetrics: [
          { metrics: [{ histogram: { dataPoints: [{ timeUnixNano: now, bucketCounts, explicitBounds }] } }] },
        ],
      },
    ],
  });
  const rows = bytesOf(encodeProtobufMetrics(wrap(unpacked), tenant, bounds));
  expect(bytesOf(encodeJsonMetrics(json(["5", "6"], ["2.5"]), tenant, bounds))).toEqual(rows);
  expect(bytesOf(encodeJsonMetrics(json([5, 6], [2.5]), tenant, bounds))).toEqual(rows);
});
