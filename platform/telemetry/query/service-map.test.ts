// RED metrics and the service map over real rows: two services, a database, a queue and a partner, also sampled.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { operationMetrics, operationSeries } from "./operation-metrics.ts";
import { serviceMap } from "./service-map.ts";
import type { SpanFilter } from "./span-filter.ts";

let telemetry: TemporaryTelemetry;
const tenant = newTenant();
const now = Date.now();
const filter: SpanFilter = { ...tenant, since: now - 60_000, until: now + 1_000 };
const kinds = { server: 2, client: 3, producer: 4, consumer: 5 };

interface Made {
  id: string;
  parent?: string;
  kind: keyof typeof kinds;
  name: string;
  ms: number;
  ago: number;
  error?: boolean;
  state?: string;
  attributes?: Record<string, string>;
}
/** One service's share of a trace, as OTLP in JSON. */
async function send(trace: number, service: string, spans: Made[], to = tenant): Promise<void> {
  const values = (of: Record<string, string>) =>
    Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  // Whole milliseconds times a million in whole numbers: a double of today's nanoseconds is 256 apart from the next.
  const nanos = (ms: number) => `${BigInt(ms) * 1_000_000n}`;
  const made = spans.map((span) => ({
    traceId: trace.toString(16).padStart(32, "0"),
    spanId: span.id.padStart(16, "0"),
    parentSpanId: span.parent?.padStart(16, "0") ?? "",
    ...{ name: span.name, kind: kinds[span.kind], traceState: span.state ?? "" },
    startTimeUnixNano: nanos(now - span.ago),
    endTimeUnixNano: nanos(now - span.ago + span.ms),
    status: { code: span.error ? 2 : 0 },
    attributes: values(span.attributes ?? {}),
  }));
  const resource = { attributes: values({ "service.name": service }) };
  const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: made }] }] });
  const result = await new Ingest(telemetry.store).traces(Buffer.from(body), "json", to);
  expect(result).toMatchObject({ accepted: spans.length, rejected: 0 });
}

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  for (let i = 1; i <= 10; i++) {
    await send(i, "web", [
      {
        id: "a1",
        kind: "server",
        name: "GET",
        ms: i * 10,
        ago: 5_000,
        attributes: { "http.request.method": "GET", "http.route": "/cart" },
      },
      {
        id: "a2",
        parent: "a1",
        kind: "client",
        name: "POST",
        ms: 8,
        ago: 4_990,
        attributes: { "server.address": "shop" },
      },
      {
        id: "a3",
        parent: "a1",
        kind: "client",
        name: "POST",
        ms: 5,
        ago: 4_990,
        attributes: { "server.address": "pay.example" },
        error: i === 1,
      },
    ]);
    await send(i, "shop", [
      { id: "b1", parent: "a2", kind: "server", name: "POST /price", ms: 6, ago: 4_989, error: i <= 2 },
      {
        id: "b2",
        parent: "b1",
        kind: "client",
        name: "SELECT",
        ms: 2,
        ago: 4_988,
        attributes: { "db.system.name": "postgresql", "db.namespace": "shop" },
      },
      {
        id: "b3",
        parent: "b1",
        kind: "producer",
        name: "send",
        ms: 1,
        ago: 4_987,
        attributes: { "messaging.system": "kafka" },
      },
    ]);
  }
  // One of four is kept: th of 0.75 leaves out three quarters.
  await send(99, "rare", [{ id: "c1", kind: "server", name: "GET /rare", ms: 40, ago: 20_000, state: "ot=th:c" }]);
  await send(100, "shop", [{ id: "d1", kind: "server", name: "POST /price", ms: 900, ago: 3_600_000 }]);
  await send(101, "theirs", [{ id: "e1", kind: "server", name: "GET", ms: 1, ago: 5_000 }], newTenant());
});
afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

test("an operation has its rate, errors and durations, and what was sampled counts for what it stands for", async () => {
  const operations = await operationMetrics(telemetry.store.reader, filter, 10);
  expect(operations.map(({ service, operation, requests, errors }) => [service, operation, requests, errors])).toEqual([
    ["shop", "POST /price", 10, 2],
    ["web", "GET /cart", 10, 0],
    ["rare", "GET /rare", 4, 0],
  ]);
  expect(operations[1]!.perSecond).toBeCloseTo(10 / 61);
  expect(operations[1]!.p50Ms).toBeGreaterThan(45);
  expect(operations[1]!.p50Ms).toBeLessThan(65);
  expect(operations[1]!.maxMs).toBe(100);
  expect(operations[2]!.p99Ms).toBe(40);
});

test("a series has every stretch of the time, the empty ones too", async () => {
  const series = await operationSeries(
    telemetry.store.reader,
    { ...filter, service: "rare", operation: "GET /rare" },
    61,
  );
  expect(series.everyMs).toBe(1_000);
  expect(series.points).toHaveLength(61);
  expect(series.points.filter(({ requests }) => requests > 0)).toEqual([
    { at: filter.since + 40_000, requests: 4, errors: 0, p50Ms: 40, p95Ms: 40, p99Ms: 40 },
  ]);
});

test("the map has services, what they call and what they use, each call once", async () => {
  const map = await serviceMap(telemetry.store.reader, filter);
  expect(map.edges.map(({ from, to, requests, errors }) => [from, to, requests, errors]).sort()).toEqual([
    ["shop", "kafka", 10, 0],
    ["shop", "postgresql/shop", 10, 0],
    ["web", "pay.example", 10, 1],
    ["web", "shop", 10, 2],
  ]);
  expect(map.nodes.map(({ name, kind, requests }) => [name, kind, requests]).sort()).toEqual([
    ["kafka", "messaging", 10],
    ["pay.example", "external", 10],
    ["postgresql/shop", "database", 10],
    ["rare", "service", 4],
    ["shop", "service", 10],
    ["web", "service", 10],
  ]);
});
