// What Prometheus scrapes of the platform: true values, in a form that its own rules find nothing wrong with.
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import type { DeploymentTenant } from "../runtime-metrics/deployment-tenants.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { platformMetrics } from "./platform-metrics.ts";
import { checkMetrics, hasPromtool } from "./promtool.fixture.ts";

const noRequests = {
  requests: async () => ({ bounds: [], groups: [] }),
  tenantsOf: async () => new Map<string, DeploymentTenant>(),
};
let telemetry: TemporaryTelemetry;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

test("counts what came in once, however often it was sent, and keeps to Prometheus's names", async () => {
  const ingest = new Ingest(telemetry.store);
  const total = () => ({ sent: 3, dropped: 1, waiting: 0, waitingBytes: 0 });
  const registry = platformMetrics({ ...noRequests, store: telemetry.store, ingest, forwarder: { total } });
  const body = Buffer.from(ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "a" }, { name: "b" }]))!);
  const tenant = newTenant();
  for (let i = 0; i < 2; i++) await ingest.traces(body, "protobuf", tenant);
  await ingest.traces(Buffer.from("no"), "protobuf", tenant).catch(() => {});
  const text = await registry.metrics();
  expect(text).toContain('tsdev_telemetry_items_total{signal="traces",outcome="accepted"} 2');
  expect(text).toContain('tsdev_telemetry_items_total{signal="traces",outcome="rejected"} 0');
  expect(text).toContain("tsdev_telemetry_spool_files 0");
  expect(text).toContain("tsdev_forward_dropped_total 1");
  // As `promtool check metrics` asks: counters end in _total, nothing else does, each has a help and a base unit.
  for (const [, name, kind] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    expect(name!.endsWith("_total"), name).toBe(kind === "counter");
    expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, "m"));
    expect(name).not.toMatch(/_(ms|kb|mib|milliseconds)(_total)?$/);
  }
  // Asked again, a counter has not grown by itself.
  expect(await registry.metrics()).toContain('signal="traces",outcome="accepted"} 2');
});

test("tells how long requests to each deployment and to the platform took, and goes on when the router is away", {
  timeout: 300_000,
}, async () => {
  const histogram = { count: 3, sum: 0.5, min: 0.1, max: 0.3, buckets: [1, 1, 1] };
  const points = [{ attributes: { "http.request.method": "GET", "http.response.status_code": 500 }, histogram }];
  const groups = ["dep_1", "control-plane"].map((group) => ({ group, startedAt: 1, points }));
  const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
  let away = false;
  const registry = platformMetrics({
    ...{ store: telemetry.store, ingest: new Ingest(telemetry.store) },
    forwarder: { total: () => ({ sent: 0, dropped: 0, waiting: 0, waitingBytes: 0 }) },
    requests: async () => {
      if (away) throw new Error("away");
      return { bounds: [0.1, 0.25], groups };
    },
    tenantsOf: async () => new Map([["dep_1", { tenant, service: "web" }]]),
  });
  const text = await registry.metrics();
  const labels = (where: string) => `${where},http_request_method="GET",http_response_status_code="500"`;
  if (await hasPromtool()) expect(await checkMetrics(text)).toEqual({ code: 0, errors: "", output: "" });
  const shop = labels('organization="org_1",project="shop",environment="production",service="web",deployment="dep_1"');
  expect(text).toContain(`http_server_request_duration_seconds_bucket{${shop},le="0.1"} 1\n`);
  expect(text).toContain(`http_server_request_duration_seconds_bucket{${shop},le="0.25"} 2\n`);
  expect(text).toContain(`http_server_request_duration_seconds_bucket{${shop},le="+Inf"} 3\n`);
  expect(text).toContain(`http_server_request_duration_seconds_count{${shop}} 3\n`);
  expect(text).toMatch(/_count\{[^}]*service="control-plane"/);
  away = true;
  const without = await registry.metrics();
  expect(without).not.toContain("_bucket{");
  expect(without).toContain("tsdev_telemetry_spool_files 0");
});
