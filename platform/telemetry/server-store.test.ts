// The whole store with its database on a server: what comes in is found, what the server does not take waits and is stored once.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ClickHouseBridge, startClickHouseBridge } from "./__fixtures__/clickhouse-http-bridge.ts";
import { openTelemetryStore, type TelemetryStore } from "./clickhouse.ts";
import { Ingest } from "./ingest/ingest.ts";
import type { Tenant } from "./ingest/tables.ts";
import { type Logs, openLogs } from "./logs.ts";
import { TenantSql } from "./query/tenant-sql.ts";
import { makeSpans, newTenant } from "./telemetry-fixture.ts";
import { openTraces, type Traces } from "./traces.ts";

let directory: string;
let bridge: ClickHouseBridge;
let store: TelemetryStore;
let ingest: Ingest;
let traces: Traces;
let logs: Logs;
let tenant: Tenant;

async function open(): Promise<void> {
  store = await openTelemetryStore(
    { directory, clickhouseUrl: bridge.url },
    { spool: { log: () => {}, maxPauseMs: 200 } },
  );
  ingest = new Ingest(store);
  traces = openTraces(store);
  logs = openLogs(store);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-server-store-"));
  bridge = await startClickHouseBridge(directory);
  await open();
});
afterAll(async () => {
  await logs.close();
  await store.close();
  await bridge[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  tenant = newTenant();
});

const body = (count: number) =>
  Buffer.from(
    ProtobufTraceSerializer.serializeRequest(
      makeSpans(Array.from({ length: count }, (_, i) => ({ name: `GET /orders/${i}`, kind: SpanKind.SERVER }))),
    )!,
  );
const within = () => ({ project: tenant.project, environment: tenant.environment });

test("spans and process output that come in are found by their own organization alone", async () => {
  await ingest.traces(body(3), "protobuf", tenant);
  const page = await traces.search(tenant.organizationId, { ...within(), limit: 10 });
  expect(page.traces).toHaveLength(3);
  expect(await traces.get(tenant.organizationId, page.traces[0]!.traceId)).toMatchObject({
    spans: [{ name: page.traces[0]!.name, kind: "server" }],
  });
  expect((await traces.search("org_other", { ...within(), limit: 10 })).traces).toEqual([]);
  const line = {
    deploymentId: "dep_1",
    instanceId: "ins_1",
    service: "shop",
    stream: "stdout",
    time: Date.now(),
  } as const;
  await logs.write([
    { ...tenant, ...line, text: "it's paid, ümlaut \\n" },
    { ...tenant, ...line, text: "failed" },
  ]);
  const found = await logs.search({
    organizationId: tenant.organizationId,
    ...within(),
    search: "it's paid",
    limit: 10,
  });
  expect(found.records.map(({ text }) => text)).toEqual(["it's paid, ümlaut \\n"]);
});

test("reads may change nothing", async () => {
  await expect(store.reader.query("DROP TABLE otel_traces")).rejects.toMatchObject({ code: "internal" });
  await expect(store.reader.query("SELECT number FROM numbers(300000)")).rejects.toMatchObject({
    code: "invalid_input",
  });
});

test("what a server that is overloaded does not take waits on disk, and is stored once when it takes it again", async () => {
  await ingest.traces(body(1), "protobuf", tenant);
  const bodies = Array.from({ length: 5 }, () => body(4));
  bridge.failWith({ code: 202, type: "TOO_MANY_SIMULTANEOUS_QUERIES" });
  for (const one of bodies) expect(await ingest.traces(one, "protobuf", tenant)).toMatchObject({ accepted: 4 });
  // As senders do that saw no answer.
  for (const one of bodies) await ingest.traces(one, "protobuf", tenant);
  expect(store.spool().files).toBeGreaterThan(0);
  bridge.failWith(null);
  await expect.poll(() => store.spool().files, { timeout: 20_000 }).toBe(0);
  expect(await traces.spanCount(tenant.organizationId, within())).toBe(21);
});

test("what waits is stored by the next process when this one ends before the server is back", async () => {
  bridge.failWith({ code: 241, type: "MEMORY_LIMIT_EXCEEDED" });
  await ingest.traces(body(4), "protobuf", tenant);
  await logs.close();
  await store.close();
  bridge.failWith(null);
  await open();
  await expect.poll(() => store.spool().files, { timeout: 20_000 }).toBe(0);
  expect(await traces.spanCount(tenant.organizationId, within())).toBe(4);
});

test("SQL from outside sees its own rows there too, and no other database that the same user can read", async () => {
  await ingest.traces(body(3), "protobuf", tenant);
  await ingest.traces(body(4), "protobuf", newTenant());
  for (const statement of [
    "CREATE DATABASE IF NOT EXISTS billing",
    "CREATE TABLE IF NOT EXISTS billing.keys (key String) ENGINE = MergeTree ORDER BY key",
    "INSERT INTO billing.keys SELECT 'top-secret'",
  ]) {
    expect((await fetch(new URL(bridge.url).origin, { method: "POST", body: statement })).status).toBe(200);
  }
  const sql = new TenantSql(store.reader);
  expect((await sql.run(tenant, "SELECT count() AS n FROM otel_traces")).rows).toEqual([{ n: 3 }]);
  for (const text of [
    "SELECT 'top-secret' IN billing.keys AS found",
    "SELECT ('top-secret' AS `a\nQualifiedAsterisk `) IN billing.keys AS found",
    "SELECT * FROM billing.keys",
    "SELECT count() FROM otel_traces SETTINGS additional_table_filters = {}",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
  ]) {
    await expect(sql.run(tenant, text), text).rejects.toMatchObject({ code: "invalid_input" });
  }
});
