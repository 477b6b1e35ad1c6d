// An environment's metrics as Prometheus reads them: every kind, names and labels, nobody else's, nothing stale.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import type { Tenant } from "../ingest/tables.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { environmentExposition } from "./environment-exposition.ts";
import { exponentialBuckets } from "./exponential-buckets.ts";
import { labels, metricName } from "./prometheus-names.ts";
import { checkMetrics, hasPromtool } from "./promtool.fixture.ts";

let telemetry: TemporaryTelemetry;
let tenant: Tenant;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(() => telemetry[Symbol.asyncDispose]());
beforeEach(() => {
  tenant = newTenant();
});

const attributes = (of: Record<string, string>) =>
  Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
const point = (of: object, agoMs = 0, own: Record<string, string> = { route: "/a" }) => ({
  ...{ attributes: attributes(own), startTimeUnixNano: `${Date.now() - 600_000}000000` },
  timeUnixNano: `${Date.now() - agoMs}000000`,
  ...of,
});
const cumulative = { aggregationTemporality: 2 };

async function send(metrics: object[], resource: Record<string, string> = {}, to = tenant): Promise<void> {
  const named = attributes({ "service.name": "web", "service.instance.id": "i1", ...resource });
  const scopeMetrics = [{ scope: { name: "shop", version: "1" }, metrics }];
  const body = JSON.stringify({ resourceMetrics: [{ resource: { attributes: named }, scopeMetrics }] });
  const { rejected } = await new Ingest(telemetry.store).metrics(Buffer.from(body), "json", to);
  expect(rejected).toBe(0);
}
const scrape = () => environmentExposition(telemetry.store.reader, tenant);
const identity = 'otel_scope_name="shop",otel_scope_version="1",job="web",instance="i1"';

/** One of each kind. */
const kinds = () => [
  {
    name: "queue.depth",
    unit: "{message}",
    description: "How many wait.",
    gauge: { dataPoints: [point({ asInt: "3" })] },
  },
  { name: "orders", sum: { ...cumulative, isMonotonic: true, dataPoints: [point({ asDouble: 7 })] } },
  { name: "pool.size", unit: "By", sum: { ...cumulative, isMonotonic: false, dataPoints: [point({ asInt: "-2" })] } },
  {
    ...{ name: "wait.time", unit: "s" },
    histogram: {
      ...cumulative,
      dataPoints: [point({ count: "6", sum: 9, bucketCounts: ["1", "2", "3"], explicitBounds: [0.5, 1] })],
    },
  },
  {
    ...{ name: "size", unit: "By" },
    exponentialHistogram: {
      ...cumulative,
      dataPoints: [
        point({
          ...{ count: "10", sum: 30, scale: 0, zeroCount: "1" },
          positive: { offset: 0, bucketCounts: ["2", "4"] },
          negative: { offset: 0, bucketCounts: ["3"] },
        }),
      ],
    },
  },
  {
    ...{ name: "old.style", unit: "ms" },
    summary: { dataPoints: [point({ count: "2", sum: 5, quantileValues: [{ quantile: 0.5, value: 2 }] })] },
  },
];

test("every kind of metric has its last value under Prometheus's name", async () => {
  await send([
    { name: "orders", sum: { ...cumulative, isMonotonic: true, dataPoints: [point({ asDouble: 5 }, 20_000)] } },
  ]);
  await send(kinds(), { "cloud.region": "eu" });
  const text = await scrape();
  const own = `route="/a",${identity}`;
  expect(text).toContain("# HELP queue_depth How many wait.\n# TYPE queue_depth gauge\n");
  expect(text).toContain(`queue_depth{${own}} 3\n`);
  expect(text).toContain(`# TYPE orders_total counter\norders_total{${own}} 7\n`);
  expect(text).toContain(`# TYPE pool_size_bytes gauge\npool_size_bytes{${own}} -2\n`);
  for (const [le, value] of Object.entries({ "0.5": 1, "1": 3, "+Inf": 6 })) {
    expect(text).toContain(`wait_time_seconds_bucket{${own},le="${le}"} ${value}\n`);
  }
  expect(text).toContain(`wait_time_seconds_sum{${own}} 9\nwait_time_seconds_count{${own}} 6\n`);
  for (const [le, value] of Object.entries({ "-1": 3, "0": 4, "2": 6, "4": 10, "+Inf": 10 })) {
    expect(text).toContain(`size_bytes_bucket{${own},le="${le}"} ${value}\n`);
  }
  expect(text).toContain(`old_style_milliseconds{${own},quantile="0.5"} 2\n`);
  expect(text).toContain(`old_style_milliseconds_count{${own}} 2\n`);
  expect(text).toMatch(/^target_info\{.*job="web",instance="i1"\} 1$/m);
});

test("another environment sees none of it, and what was not heard of for five minutes is gone", async () => {
  await send([{ name: "fresh", gauge: { dataPoints: [point({ asInt: "1" }, 240_000)] } }]);
  await send([{ name: "stale", gauge: { dataPoints: [point({ asInt: "1" }, 330_000)] } }]);
  // A point that says that its series ended (OTLP's no-recorded-value).
  await send([{ name: "ended", gauge: { dataPoints: [point({ asInt: "1" }, 9_000)] } }]);
  await send([{ name: "ended", gauge: { dataPoints: [point({ flags: 1 })] } }]);
  const text = await scrape();
  expect(text).toContain("fresh{");
  expect(text).not.toContain("stale");
  expect(text).not.toContain("ended");
  tenant = { ...tenant, environment: "staging" };
  expect((await scrape()).trim()).toBe("");
});

test("one name has one type, and the same labels come once", async () => {
  await send([
    { name: "jobs", gauge: { dataPoints: [point({ asInt: "1" }), point({ asInt: "2" }, 1_000, { "route!": "x" })] } },
    {
      name: "jobs",
      histogram: { ...cumulative, dataPoints: [point({ count: "0", bucketCounts: ["0"], explicitBounds: [] })] },
    },
    { name: "jobs", gauge: { dataPoints: [point({ asInt: "9" }, 2_000, { "route.": "x" })] } },
  ]);
  const text = await scrape();
  expect(text.match(/^# TYPE jobs /gm)).toHaveLength(1);
  expect(text.match(/^jobs\{route_="x"/gm)).toHaveLength(1);
  expect(text).toContain(`jobs{route_="x",${identity}} 2\n`);
});

test("names and labels follow the compatibility specification", () => {
  expect(metricName("http.server.request.duration", "s", "histogram")).toBe("http_server_request_duration_seconds");
  expect(metricName("process.cpu.time", "s", "counter")).toBe("process_cpu_time_seconds_total");
  expect(metricName("total.seconds", "s", "counter")).toBe("seconds_total");
  expect(metricName("nodejs.eventloop.utilization", "1", "gauge")).toBe("nodejs_eventloop_utilization_ratio");
  expect(metricName("rate", "By/s", "gauge")).toBe("rate_bytes_per_second");
  expect(metricName("2xx", "{request}", "counter")).toBe("_2xx_total");
  expect(labels({ "a.b": "2", a_b: "1", "0x": "z" })).toEqual({ a_b: "2;1", key_0x: "z" });
});

test("finer buckets of an exponential histogram are joined without moving a value", () => {
  const of = { scale: 4, zeros: 0, positiveOffset: -4, positive: [1, 1, 1, 1, 1, 1], negativeOffset: 0, negative: [] };
  expect(exponentialBuckets(of)).toEqual({ bounds: [1, 2 ** 0.25], counts: [4, 2, 0] });
});

test("a scrape with a fault is found", { timeout: 300_000 }, async ({ skip }) => {
  if (!(await hasPromtool())) skip();
  const { code, errors } = await checkMetrics("# TYPE orders counter\norders 1\n");
  expect({ code, errors }).toEqual({ code: 3, errors: expect.stringContaining("_total") });
});

test("promtool finds nothing wrong with it", { timeout: 300_000 }, async ({ skip }) => {
  if (!(await hasPromtool())) skip();
  // Milliseconds are the app's own choice, which the linter speaks against.
  await send(kinds().filter(({ name }) => name !== "old.style"));
  expect(await checkMetrics(await scrape())).toEqual({ code: 0, errors: "", output: "" });
});
