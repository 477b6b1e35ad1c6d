// Quantiles over time of what OpenTelemetry's own metrics SDK sent through ingest, and of instances that begin anew.
import { JsonMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { metricDistribution } from "./metric-distribution.ts";

let telemetry: TemporaryTelemetry;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(() => telemetry[Symbol.asyncDispose]());

test.each([AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])(
  "an exponential histogram of the SDK has the quantiles of what was recorded, in temporality %s",
  async (temporality) => {
    const tenant = newTenant();
    const since = Date.now() - 1_000;
    const exporter = new InMemoryMetricExporter(temporality);
    const provider = new MeterProvider({
      resource: resourceFromAttributes({ "service.name": "shop" }),
      readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
      views: [{ instrumentName: "*", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
    });
    const histogram = provider.getMeter("t").createHistogram("latency");
    const ingest = new Ingest(telemetry.store);
    // Two exports of one series: 1 to 500, and 501 to 1000. The second is of a smaller scale.
    for (const from of [1, 501]) {
      for (let value = from; value < from + 500; value++) histogram.record(value);
      await provider.forceFlush();
      const sent = exporter.getMetrics().at(-1)!;
      await ingest.metrics(Buffer.from(JsonMetricsSerializer.serializeRequest(sent)!), "json", tenant);
    }
    await provider.shutdown();
    const filter = { ...tenant, since, until: Date.now() + 60_000 };
    const { series } = await metricDistribution(telemetry.store.reader, filter, {
      ...{ metric: "latency", kind: "exponential_histogram", points: 1 },
    });
    const { points } = series[0]!;
    expect(points).toHaveLength(1);
    expect(points[0]!.count).toBe(1_000);
    // 160 buckets over a factor of 1000 are each 4.4 % wide.
    expect(points[0]!.p50! / 500).toBeCloseTo(1, 1);
    expect(Math.abs(points[0]!.p95! / 950 - 1)).toBeLessThan(0.05);
    expect(Math.abs(points[0]!.p99! / 990 - 1)).toBeLessThan(0.05);
  },
);

test("of two instances each is looked at by itself, and a new beginning counts as it is", async () => {
  const tenant = newTenant();
  const since = Date.now() - 100_000;
  const nanos = (ms: number) => String(BigInt(Math.round(ms)) * 1_000_000n);
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const exemplar = { timeUnixNano: nanos(since + 11_000), asDouble: 1.5, traceId, spanId: "b7ad6b7169203331" };
  const send = (instance: string, points: [at: number, counts: number[]][]) => {
    const resource = { attributes: [{ key: "service.instance.id", value: { stringValue: instance } }] };
    const dataPoints = points.map(([at, bucketCounts]) => ({
      timeUnixNano: nanos(since + at * 1_000),
      startTimeUnixNano: nanos(since - 1_000_000),
      count: String(bucketCounts.reduce((sum, count) => sum + count, 0)),
      bucketCounts: bucketCounts.map(String),
      explicitBounds: [1, 2],
      ...(instance === "a" && at === 11 ? { exemplars: [exemplar] } : {}),
    }));
    const metrics = [{ name: "duration", histogram: { aggregationTemporality: 2, dataPoints } }];
    const body = JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: "t" }, metrics }] }] });
    return new Ingest(telemetry.store).metrics(Buffer.from(body), "json", tenant);
  };
  // a: 3 and 1 more, then anew with 2; b: 1 and 4 more.
  await send("a", [
    [1, [100, 0, 0]],
    [11, [103, 1, 0]],
    [21, [0, 2, 0]],
  ]);
  await send("b", [
    [2, [50, 50, 0]],
    [12, [51, 54, 0]],
  ]);
  const filter = { ...tenant, since, until: since + 40_000 };
  const { series } = await metricDistribution(telemetry.store.reader, filter, {
    ...{ metric: "duration", kind: "histogram", points: 4 },
  });
  const { points } = series[0]!;
  expect(points.map(({ count }) => count)).toEqual([0, 9, 2, 0]);
  expect(points[1]!.buckets).toEqual([
    { from: 0, to: 1, count: 4 },
    { from: 1, to: 2, count: 5 },
  ]);
  // The 4.5th of 9 is the first half of the 5 in (1, 2]: 1 + 0.5 / 5.
  expect(points[1]!.p50).toBeCloseTo(1.1, 10);
  expect(points[2]!.p50).toBe(1.5);

  const byInstance = await metricDistribution(telemetry.store.reader, filter, {
    ...{ metric: "duration", kind: "histogram", points: 4, groupBy: ["service.instance.id"] },
  });
  expect(byInstance.series.map((one) => [one.group, one.points.map(({ count }) => count)])).toEqual([
    [["a"], [0, 4, 2, 0]],
    [["b"], [0, 5, 0, 0]],
  ]);
  const b = await metricDistribution(telemetry.store.reader, filter, {
    ...{ metric: "duration", kind: "histogram", points: 4, attributes: ["service.instance.id!=a"] },
  });
  expect(b.series.map((one) => one.points[1]!.count)).toEqual([5]);
  expect(byInstance.exemplars.map(({ traceId: id, value }) => [id, value])).toEqual([[traceId, 1.5]]);
  expect(b.exemplars).toEqual([]);
});
