// Conditions of rows: a range of time is read by the primary key, and its ends may be anything.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { rowConditions } from "./span-filter.ts";

let telemetry: TemporaryTelemetry;
const tenant = newTenant();
const now = Date.now();
const nanos = (ms: number) => `${BigInt(ms) * 1_000_000n}`;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  const ingest = new Ingest(telemetry.store);
  const times = { timeUnixNano: nanos(now - 1), startTimeUnixNano: nanos(now - 1), endTimeUnixNano: nanos(now) };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const span = { ...times, traceId: "1".repeat(32), spanId: "1".repeat(16), name: "GET", kind: 2 };
  const sent = (body: object) => Buffer.from(JSON.stringify(body));
  await ingest.traces(sent({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }), "json", tenant);
  const record = { ...times, body: { stringValue: "hello" } };
  await ingest.logs(sent({ resourceLogs: [{ resource, scopeLogs: [{ logRecords: [record] }] }] }), "json", tenant);
});
afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

test.each(["otel_traces", "otel_logs"] as const)("a time range of %s is found by the primary key", async (table) => {
  const { where, params } = rowConditions(table, { ...tenant, since: now - 1_000, until: now + 1_000 });
  const text = where.replaceAll(/\{(\w+):(\w+)\}/g, (_, name: string, type: string) =>
    type === "String" ? `'${params[name]}'` : `${params[name]}`,
  );
  const plan = (
    await telemetry.store.reader.explain(`EXPLAIN indexes = 1 SELECT count() FROM ${table} WHERE ${text}`)
  ).join("\n");
  const key = plan.slice(plan.indexOf("PrimaryKey"), plan.indexOf("Condition", plan.indexOf("PrimaryKey")));
  expect(key).toContain("Time");
});

test.each(["otel_traces", "otel_logs"] as const)("the ends of a time range of %s may be anything", async (table) => {
  const found = async (since?: number, until?: number) => {
    const { where, params } = rowConditions(table, { ...tenant, since, until });
    const [row] = await telemetry.store.reader.query<{ rows: number }>(
      `SELECT toUInt32(count()) AS rows FROM ${table} WHERE ${where}`,
      params,
    );
    return row!.rows;
  };
  expect(await found()).toBe(1);
  expect(await found(now - 1, now)).toBe(1);
  expect(await found(now)).toBe(0);
  expect(await found(undefined, now - 1)).toBe(0);
  expect(await found(0, Date.parse("2199-01-01"))).toBe(1);
  expect(await found(-86_400_000, now)).toBe(1);
});
