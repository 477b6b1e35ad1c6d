// What Prometheus scrapes of the platform: true values, in a form that its own rules find nothing wrong with.
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { platformMetrics } from "./platform-metrics.ts";

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
  const registry = platformMetrics({ store: telemetry.store, ingest, forwarder: { total } });
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
