// Metrics over time by values worked out by hand: resets, two instances, deltas, groups, exemplars.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { metricList, metricSeries } from "./metric-queries.ts";

let telemetry: TemporaryTelemetry;
const tenant = newTenant();
const since = Date.now() - 100_000;
const filter = { ...tenant, since, until: since + 40_000 };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const nanos = (ms: number) => String(BigInt(Math.round(ms)) * 1_000_000n);
const values = (of: Record<string, string>) =>
  Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));

/** `at` is in seconds after `since`. */
const point = (at: number, asDouble: number, attributes: Record<string, string> = {}) => ({
  timeUnixNano: nanos(since + at * 1_000),
  startTimeUnixNano: nanos(since - 1_000_000),
  asDouble,
  attributes: values(attributes),
});

async function send(instance: string, metrics: object[]): Promise<void> {
  const resource = { attributes: values({ "service.name": "shop", "service.instance.id": instance }) };
  const body = JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: "t" }, metrics }] }] });
  await new Ingest(telemetry.store).metrics(Buffer.from(body), "json", tenant);
}

const counter = (name: string, aggregationTemporality: number, dataPoints: object[], isMonotonic = true) => ({
  name,
  unit: "1",
  sum: { aggregationTemporality, isMonotonic, dataPoints },
});

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  // a: 100 -> 110 -> (anew) 4 -> 9, so 10, 4 and 5 were added; b: 7 -> 27
  await send("a", [
    counter("requests", 2, [point(1, 100), point(11, 110), point(21, 4), point(31, 9)]),
    counter("open", 2, [point(1, 3), point(11, 2)], false),
    counter("deltas", 1, [point(1, 20), point(11, 40)]),
    {
      name: "level",
      gauge: {
        dataPoints: [
          {
            ...point(1, 2, { disk: "x" }),
            exemplars: [{ timeUnixNano: nanos(since + 1_000), asDouble: 2, traceId, spanId: "b7ad6b7169203331" }],
          },
          point(2, 4, { disk: "x" }),
          point(1, 10, { disk: "y" }),
        ],
      },
    },
    {
      name: "duration",
      histogram: {
        aggregationTemporality: 2,
        dataPoints: [
          { ...point(1, 0), count: "10", sum: 50, bucketCounts: ["10"], explicitBounds: [] },
          { ...point(11, 0), count: "14", sum: 90, bucketCounts: ["14"], explicitBounds: [] },
        ],
      },
    },
  ]);
  await send("b", [
    counter("requests", 2, [point(2, 7), point(12, 27)]),
    counter("open", 2, [point(2, 5), point(12, 5)], false),
  ]);
});
afterAll(() => telemetry[Symbol.asyncDispose]());

const four = { points: 4 };

test("what two instances' counters added is summed after each was looked at, and a new beginning is not a fall", async () => {
  const { everyMs, series } = await metricSeries(telemetry.store.reader, filter, {
    metric: "requests",
    kind: "sum",
    of: "rate",
    ...four,
  });
  expect(everyMs).toBe(10_000);
  // the first point of each says nothing of what was added within this time
  expect(series).toEqual([{ group: "", values: [0, 3, 0.4, 0.5] }]);
});

test("deltas are what was added; a sum that may fall is the last value of each instance", async () => {
  const deltas = { metric: "deltas", kind: "sum", of: "rate", ...four } as const;
  expect((await metricSeries(telemetry.store.reader, filter, deltas)).series[0]!.values).toEqual([2, 4, null, null]);
  const open = { metric: "open", kind: "sum", of: "value", ...four } as const;
  expect((await metricSeries(telemetry.store.reader, filter, open)).series[0]!.values).toEqual([8, 7, null, null]);
});

test("a gauge is averaged by group, and its exemplars lead to traces", async () => {
  const asked = { metric: "level", kind: "gauge", of: "average", groupBy: "disk", ...four } as const;
  const { series, exemplars } = await metricSeries(telemetry.store.reader, filter, asked);
  expect(series.map(({ group, values: [first] }) => [group, first])).toEqual([
    ["x", 3],
    ["y", 10],
  ]);
  expect(exemplars).toEqual([{ at: since + 1_000, value: 2, traceId }]);
});

test("a histogram has its rate and the average of what was recorded in each step", async () => {
  const asked = { metric: "duration", kind: "histogram", ...four } as const;
  const average = await metricSeries(telemetry.store.reader, filter, { ...asked, of: "average" });
  expect(average.series[0]!.values).toEqual([null, 10, null, null]);
  const rate = await metricSeries(telemetry.store.reader, filter, { ...asked, of: "rate" });
  expect(rate.series[0]!.values).toEqual([0, 0.4, null, null]);
});

test("the list names each metric with its kind, unit and attributes, of this organization only", async () => {
  const list = await metricList(telemetry.store.reader, filter);
  expect(list.map(({ name, kind, monotonic }) => [name, kind, monotonic])).toEqual([
    ["deltas", "sum", true],
    ["duration", "histogram", false],
    ["level", "gauge", false],
    ["open", "sum", false],
    ["requests", "sum", true],
  ]);
  expect(list[2]).toMatchObject({ attributes: ["disk"], series: 2, services: ["shop"] });
  expect(await metricList(telemetry.store.reader, { ...filter, ...newTenant() })).toEqual([]);
});
