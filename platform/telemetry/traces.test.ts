// Traces and their operations: filters, pages, one whole trace, and nothing of another organization.
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { TsdevError } from "../../sdk/errors.ts";
import type { OperationContext } from "../../sdk/operation.ts";
import { Ingest } from "./ingest/ingest.ts";
import type { Tenant } from "./ingest/tables.ts";
import { openLogs } from "./logs.ts";
import { openMetrics } from "./metrics-operations.ts";
import { telemetryOperations } from "./operations.ts";
import { TenantSql } from "./query/tenant-sql.ts";
import {
  makeSpans,
  newTenant,
  type TemporaryTelemetry,
  type TestSpan,
  temporaryTelemetry,
} from "./telemetry-fixture.ts";
import { openTraces, type Traces } from "./traces.ts";

let telemetry: TemporaryTelemetry;
let traces: Traces;
let tenant: Tenant;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  traces = openTraces(telemetry.store);
});
afterAll(() => telemetry[Symbol.asyncDispose]());
beforeEach(() => {
  tenant = newTenant();
});

/** Stores the traces and returns their ids in the order given. */
async function store(roots: TestSpan[], deployment = "dep_1"): Promise<string[]> {
  const spans = makeSpans(roots, { "tsdev.deployment": deployment });
  const body = Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!);
  await new Ingest(telemetry.store).traces(body, "protobuf", tenant);
  return roots.map(
    (root) => spans.find((span) => span.name === root.name && !span.parentSpanContext)!.spanContext().traceId,
  );
}

const request = (name: string, parts: Partial<TestSpan> = {}): TestSpan => ({
  name,
  kind: SpanKind.SERVER,
  attributes: { "http.route": name.split(" ")[1]! },
  ...parts,
});
const query = (name: string): TestSpan => ({
  name,
  kind: SpanKind.CLIENT,
  attributes: { "db.system.name": "postgresql" },
});

const names = async (filter: object = {}) =>
  (await traces.search(tenant.organizationId, { ...tenant, limit: 50, ...filter })).traces.map((trace) => trace.name);

test("a summary counts spans, errors and database queries of the whole trace", async () => {
  const [id] = await store([
    request("GET /orders", {
      ms: 40,
      ago: 5_000,
      children: [query("one"), query("two"), { name: "render", error: "x" }],
    }),
  ]);
  const page = await traces.search(tenant.organizationId, { ...tenant, limit: 10 });
  expect(page).toEqual({
    traces: [
      {
        traceId: id,
        name: "GET /orders",
        service: "shop",
        deployment: "dep_1",
        start: expect.any(Number),
        durationMs: 40,
        spans: 4,
        errors: 1,
        databaseQueries: 2,
      },
    ],
    cursor: null,
  });
  expect(Math.abs(page.traces[0]!.start - (Date.now() - 5_000))).toBeLessThan(2_000);
});

test("slow, failed, by route, by deployment, by time", async () => {
  await store([
    request("GET /fast", { ago: 4_000 }),
    request("GET /slow", { ms: 300, ago: 3_000 }),
    request("GET /failed", { ago: 2_000, children: [{ name: "inner", error: "deep" }] }),
    request("GET /old", { ago: 3 * 3_600_000 }),
  ]);
  await store([request("GET /new", { ago: 1_000 })], "dep_2");
  const since = Date.now() - 3_600_000;
  expect(await names()).toEqual(["GET /new", "GET /failed", "GET /slow", "GET /fast", "GET /old"]);
  expect(await names({ since })).not.toContain("GET /old");
  expect(await names({ slowerThanMs: 100 })).toEqual(["GET /slow"]);
  expect(await names({ errorsOnly: true })).toEqual(["GET /failed"]);
  expect(await names({ errorsOnly: true, slowerThanMs: 100 })).toEqual([]);
  expect(await names({ route: "/fa" })).toEqual(["GET /failed", "GET /fast"]);
  expect(await names({ route: "'); DROP TABLE otel_traces; --" })).toEqual([]);
  expect(await names({ deployment: "dep_2" })).toEqual(["GET /new"]);
  expect(await traces.spanCount(tenant.organizationId, { ...tenant, deployment: "dep_1" })).toBe(5);
});

test("pages give every trace once", async () => {
  await store(Array.from({ length: 23 }, (_, i) => request(`GET /${i}`, { ago: 10_000 - (i % 5) * 100 })));
  const operation = operationNamed("traces.search");
  const found: string[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await call(operation, { project: "shop", limit: 10, ...(cursor ? { cursor } : {}) });
    found.push(...page.traces.map((trace: { traceId: string }) => trace.traceId));
    cursor = page.cursor;
  } while (cursor !== null);
  expect(found).toHaveLength(23);
  expect(new Set(found).size).toBe(23);
});

test("a trace longer than the limit says how many spans are left out", async () => {
  const [id] = await store([request("GET /many", { children: Array.from({ length: 5_100 }, () => query("q")) })]);
  const trace = await traces.get(tenant.organizationId, id!.toUpperCase());
  expect(trace?.spans).toHaveLength(5_000);
  expect(trace?.omitted).toBe(101);
  expect(trace?.spans[0]?.name).toBe("GET /many");
});

test("another organization's trace is not there, by search, by id or by count", async () => {
  const [id] = await store([request("GET /secret")]);
  const other = newTenant();
  expect(await traces.get(other.organizationId, id!)).toBeNull();
  expect((await traces.search(other.organizationId, { ...tenant, limit: 10 })).traces).toEqual([]);
  expect(await traces.spanCount(other.organizationId, tenant)).toBe(0);
  const operation = operationNamed("traces.get");
  await expect(call(operation, { trace: id }, other.organizationId)).rejects.toMatchObject({ code: "not_found" });
  expect(await call(operation, { trace: id })).toMatchObject({ traceId: id });
});

function operationNamed(name: string) {
  const operations = telemetryOperations({
    traces,
    logs: openLogs(telemetry.store),
    metrics: openMetrics(telemetry.store),
    sql: new TenantSql(telemetry.store.reader),
    copies: () => [],
    projects: {
      async environment(_organizationId, project) {
        if (project !== "shop") throw new TsdevError("not_found", { message: "no such project", fix: "look" });
        return { environment: { id: "env_1", telemetry: {} } };
      },
    },
    // These operations read none.
    settings: undefined as never,
  });
  return operations.find((operation) => operation.name === name)!;
}

async function call(
  operation: ReturnType<typeof operationNamed>,
  input: unknown,
  organizationId = tenant.organizationId,
) {
  const context: OperationContext = {
    principal: { id: "tok_1", name: "test", organizationId, role: "viewer" },
    face: "http",
    signal: new AbortController().signal,
    progress() {},
  };
  if (operation.kind !== "call") throw new Error("a stream");
  return operation.output.parse(await operation.handler(operation.input.parse(input), context));
}

test("operations fill in defaults, refuse what is out of bounds, and know whether the environment exists", async () => {
  await store([request("GET /recent")]);
  const search = operationNamed("traces.search");
  expect((await call(search, { project: "shop" })).traces).toHaveLength(1);
  expect(search.input.safeParse({ project: "shop", limit: 1_000 }).success).toBe(false);
  expect(search.input.safeParse({ project: "shop", since: "soon" }).success).toBe(false);
  expect(search.input.safeParse({ project: "Shop; --" }).success).toBe(false);
  await expect(call(search, { project: "other" })).rejects.toMatchObject({ code: "not_found" });
  const logs = await call(operationNamed("logs.search"), { project: "shop" });
  expect(logs).toEqual({ records: [], cursor: null });
  expect(operationNamed("traces.get").input.safeParse({ trace: "x" }).success).toBe(false);
});

test("every telemetry operation is a viewer's read with a summary", () => {
  for (const name of ["traces.search", "traces.get", "logs.search", "logs.follow"]) {
    const operation = operationNamed(name);
    expect(operation.access).toEqual({ role: "viewer", effect: "read", idempotent: true });
    expect(operation.summary).not.toBe("");
  }
});
