// Metrics over time by values worked out by hand: resets, two instances, deltas, groups, exemplars.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { metricList, metricSeries } from "./metric-queries.ts";
import { AttributeFilters } from "./metric-selection.ts";

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
    {
      name: "latency",
      summary: {
        dataPoints: [
          { ...point(1, 0, { path: "/" }), count: "10", sum: 50, quantileValues: [{ quantile: 0.5, value: 3 }] },
          {
            ...point(11, 0, { path: "/" }),
            ...{ count: "14", sum: 90 },
            quantileValues: [
              { quantile: 0.5, value: 4 },
              { quantile: 0.99, value: 20 },
            ],
          },
        ],
      },
    },
    {
      name: "wait",
      exponentialHistogram: {
        aggregationTemporality: 1,
        dataPoints: [
          { ...point(1, 0), count: "4", sum: 12, scale: 0, zeroCount: "4", positive: { offset: 0, bucketCounts: [] } },
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
  expect(series).toEqual([{ group: [], values: [0, 3, 0.4, 0.5] }]);
});

test("deltas are what was added; a sum that may fall is the last value of each instance", async () => {
  const deltas = { metric: "deltas", kind: "sum", of: "rate", ...four } as const;
  expect((await metricSeries(telemetry.store.reader, filter, deltas)).series[0]!.values).toEqual([2, 4, null, null]);
  const open = { metric: "open", kind: "sum", of: "value", ...four } as const;
  expect((await metricSeries(telemetry.store.reader, filter, open)).series[0]!.values).toEqual([8, 7, null, null]);
});

test("a gauge is averaged by group, and its exemplars lead to traces", async () => {
  const asked = { metric: "level", kind: "gauge", of: "average", groupBy: ["disk"], ...four } as const;
  const { series, exemplars } = await metricSeries(telemetry.store.reader, filter, asked);
  expect(series.map(({ group, values: [first] }) => [group, first])).toEqual([
    [["x"], 3],
    [["y"], 10],
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

test("an exponential histogram has its rate and average, a summary its quantiles too", async () => {
  const wait = { metric: "wait", kind: "exponential_histogram", ...four } as const;
  const rate = await metricSeries(telemetry.store.reader, filter, { ...wait, of: "rate" });
  expect(rate.series).toEqual([{ group: [], values: [0.4, null, null, null] }]);
  const average = await metricSeries(telemetry.store.reader, filter, { ...wait, of: "average" });
  expect(average.series[0]!.values).toEqual([3, null, null, null]);
  const latency = { metric: "latency", kind: "summary", groupBy: ["path"], ...four } as const;
  const quantiles = await metricSeries(telemetry.store.reader, filter, { ...latency, of: "quantiles" });
  expect(quantiles.series).toEqual([
    { group: ["/", "0.5"], values: [3, 4, null, null] },
    { group: ["/", "0.99"], values: [null, 20, null, null] },
  ]);
  const added = await metricSeries(telemetry.store.reader, filter, { ...latency, of: "average" });
  expect(added.series).toEqual([{ group: ["/"], values: [null, 10, null, null] }]);
});

test.each([
  [["disk=x"], [["x"]]],
  [["disk!=x"], [["y"]]],
  [["disk"], [["x"], ["y"]]],
  [["!disk"], []],
  [
    ["nowhere!=x", "service.name=shop"],
    [["x"], ["y"]],
  ],
  [["service.name!=shop"], []],
  [["service.instance.id=a", "!nowhere", "disk=y"], [["y"]]],
])("the filter %j leaves the groups %j", async (attributes, groups) => {
  expect(AttributeFilters.safeParse(attributes).success).toBe(true);
  const asked = { metric: "level", kind: "gauge", of: "max", groupBy: ["disk"], attributes, ...four } as const;
  const { series } = await metricSeries(telemetry.store.reader, filter, asked);
  expect(series.map(({ group }) => group)).toEqual(groups);
});

test("a filter leaves out the exemplars of other series too, and groups are by several attributes", async () => {
  const asked = { metric: "level", kind: "gauge", of: "max", ...four } as const;
  const y = await metricSeries(telemetry.store.reader, filter, { ...asked, attributes: ["disk=y"] });
  expect(y.exemplars).toEqual([]);
  const both = { ...asked, groupBy: ["service.name", "disk"] };
  const { series } = await metricSeries(telemetry.store.reader, filter, both);
  expect(series.map(({ group }) => group)).toEqual([
    ["shop", "x"],
    ["shop", "y"],
  ]);
});

test("groups beyond the most are counted, not passed over in silence", async () => {
  const many = newTenant();
  const resource = { attributes: values({ "service.name": "shop" }) };
  const dataPoints = Array.from({ length: 25 }, (_, at) => point(1, at, { disk: `d${at}` }));
  const metrics = [{ name: "level", gauge: { dataPoints } }];
  const body = JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: "t" }, metrics }] }] });
  await new Ingest(telemetry.store).metrics(Buffer.from(body), "json", many);
  const asked = { metric: "level", kind: "gauge", of: "max", groupBy: ["disk"], ...four } as const;
  const found = await metricSeries(telemetry.store.reader, { ...filter, ...many }, asked);
  expect(found.series).toHaveLength(20);
  expect(found.omittedGroups).toBe(5);
});

test("the list names each metric with its kind, unit and attributes, of this organization only", async () => {
  const list = await metricList(telemetry.store.reader, filter);
  expect(list.map(({ name, kind, monotonic }) => [name, kind, monotonic])).toEqual([
    ["deltas", "sum", true],
    ["duration", "histogram", false],
    ["latency", "summary", false],
    ["level", "gauge", false],
    ["open", "sum", false],
    ["requests", "sum", true],
    ["wait", "exponential_histogram", false],
  ]);
  expect(list[3]).toMatchObject({ attributes: ["disk"], series: 2, services: ["shop"] });
  expect(await metricList(telemetry.store.reader, { ...filter, ...newTenant() })).toEqual([]);
});
