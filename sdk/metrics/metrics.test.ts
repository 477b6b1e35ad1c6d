// The metrics of an app under register: OpenTelemetry's API works, and what was measured arrives, also at the end.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AppFolder, appFolder, runApp } from "../tracing/app.fixture.ts";
import { LeanMeterProvider } from "./meter.ts";
import { metricsRequest } from "./otlp-metrics.ts";

interface Metric {
  name: string;
  unit?: string;
  sum?: { dataPoints: Point[]; isMonotonic: boolean; aggregationTemporality: number };
  gauge?: { dataPoints: Point[] };
  histogram?: { dataPoints: Point[] };
}
interface Point {
  attributes: { key: string; value: Record<string, unknown> }[];
  asDouble?: number;
  count?: string;
  sum?: number;
  bucketCounts?: string[];
}

let folder: AppFolder;
const bodies: string[] = [];
let arrived = () => {};
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    if (request.url === "/v1/metrics") bodies.push(Buffer.concat(chunks).toString());
    response.end("{}");
    arrived();
  });
});
let url: string;

beforeAll(async () => {
  folder = appFolder();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  folder.remove();
});

function sent(text = bodies.at(-1)): Map<string, Metric> {
  const { resourceMetrics } = JSON.parse(text ?? "") as {
    resourceMetrics: { scopeMetrics: { metrics: Metric[] }[] }[];
  };
  const all = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  return new Map(all.map((metric) => [metric.name, metric]));
}

const measuring = `
  import { metrics } from "@opentelemetry/api";
  const meter = metrics.getMeter("shop", "1.0");
  const orders = meter.createCounter("orders", { unit: "{order}" });
  orders.add(2, { country: "DE", kind: "new" });
  orders.add(3, { kind: "new", country: "DE" });
  orders.add(-1);
  meter.createHistogram("order.duration", { unit: "s" }).record(0.03);
  meter.createGauge("stock").record(7);
  meter.createObservableGauge("temperature").addCallback((result) => result.observe(21.5));
`;

test.each([
  ["ends by itself", "", 0],
  ["calls process.exit", "process.exit(3);", 3],
])("what a process measured arrives when it %s", async (_, end, code) => {
  bodies.length = 0;
  const file = folder.write(`measuring-${code}.mjs`, measuring + end);
  const app = runApp({ file, cwd: folder.path, env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } });
  expect(await app.ended).toBe(code);
  expect(app.output()).toBe("");
  expect(bodies).toHaveLength(1);
  const metrics = sent();
  expect(metrics.get("orders")).toMatchObject({
    unit: "{order}",
    sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: [{ asDouble: 5 }] },
  });
  const [duration] = metrics.get("order.duration")?.histogram?.dataPoints ?? [];
  expect(duration).toMatchObject({ count: "1", sum: 0.03 });
  expect(duration?.bucketCounts?.indexOf("1")).toBe(3);
  expect(metrics.get("stock")?.gauge?.dataPoints[0]?.asDouble).toBe(7);
  expect(metrics.get("temperature")?.gauge?.dataPoints[0]?.asDouble).toBe(21.5);
});

test("a process that runs on tells its event loop, heap, CPU and memory; a blocked loop shows", async () => {
  bodies.length = 0;
  const file = folder.write(
    "blocking.mjs",
    `setInterval(() => { const end = performance.now() + 120; while (performance.now() < end); }, 150);`,
  );
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRIC_EXPORT_INTERVAL: "300" };
  const app = runApp({ file, cwd: folder.path, env });
  await new Promise<void>((done) => {
    arrived = () => bodies.length >= 3 && done();
  });
  app.process.kill("SIGKILL");
  await app.ended;
  const metrics = sent();
  expect(metrics.get("nodejs.eventloop.delay.p99")?.gauge?.dataPoints[0]?.asDouble).toBeGreaterThan(0.05);
  expect(metrics.get("nodejs.eventloop.utilization")?.gauge?.dataPoints[0]?.asDouble).toBeGreaterThan(0.3);
  expect(metrics.get("v8js.memory.heap.used")?.sum?.dataPoints.length).toBeGreaterThan(3);
  expect(metrics.get("process.memory.usage")?.sum?.dataPoints[0]?.asDouble).toBeGreaterThan(10_000_000);
  const cpu = metrics.get("process.cpu.time")?.sum?.dataPoints ?? [];
  expect(cpu.map((point) => point.attributes[0]?.value.stringValue).sort()).toEqual(["system", "user"]);
});

test("a process that measures nothing of its own and ends at once sends no metrics, nor one that has them off", async () => {
  bodies.length = 0;
  const quiet = runApp({
    file: folder.write("quiet.mjs", ""),
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: url },
  });
  const off = runApp({
    file: folder.write("off.mjs", measuring),
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRICS_EXPORTER: "none" },
  });
  expect(await Promise.all([quiet.ended, off.ended])).toEqual([0, 0]);
  expect(bodies).toEqual([]);
});

test("past two thousand sets of attributes the rest is counted together", () => {
  const provider = new LeanMeterProvider();
  const counter = provider.getMeter("m").createCounter("c");
  for (let id = 0; id < 5_000; id++) counter.add(1, { id });
  const at = { startMs: 1, nowMs: 2 };
  const points = sent(metricsRequest({}, provider.collect(), at)).get("c")?.sum?.dataPoints ?? [];
  expect(points).toHaveLength(2_001);
  expect(points.at(-1)).toMatchObject({
    asDouble: 3_000,
    attributes: [{ key: "otel.metric.overflow", value: { boolValue: true } }],
  });
});

test("what a callback no longer observes is gone, and one that throws costs the others nothing", () => {
  const provider = new LeanMeterProvider();
  const meter = provider.getMeter("m");
  let rooms = ["a", "b"];
  meter.createObservableGauge("bad").addCallback(() => {
    throw new Error("no");
  });
  meter.createObservableGauge("rooms").addCallback((result) => {
    for (const room of rooms) result.observe(1, { room });
  });
  const pointsNow = () =>
    sent(metricsRequest({}, provider.collect(), { startMs: 1, nowMs: 2 })).get("rooms")?.gauge?.dataPoints.length;
  expect(pointsNow()).toBe(2);
  rooms = ["b"];
  expect(pointsNow()).toBe(1);
});
