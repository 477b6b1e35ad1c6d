// The Grafana dashboard of docs/grafana over real tables: every panel and every variable asks what ClickHouse answers.
import { readFile } from "node:fs/promises";
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";

interface Dashboard {
  panels: Array<{ title: string; targets: Array<{ rawSql: string }> }>;
  templating: { list: Array<{ name: string; type: string; query: string }> };
}

let telemetry: TemporaryTelemetry;
let dashboard: Dashboard;
const tenant = newTenant();

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  dashboard = JSON.parse(await readFile(new URL("../../../docs/grafana/environment.json", import.meta.url), "utf8"));
  const attributes = { "db.query.text": "SELECT * FROM orders WHERE id = 7", "db.system.name": "postgresql" };
  const query = { name: "SELECT", kind: SpanKind.CLIENT, attributes };
  const spans = makeSpans([{ name: "GET /orders", kind: SpanKind.SERVER, ms: 40, error: "no", children: [query] }]);
  const body = Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!);
  await new Ingest(telemetry.store).traces(body, "protobuf", tenant);
});
afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

/** What Grafana and its ClickHouse plugin put in the place of variables and macros. */
function filled(sql: string): string {
  return sql
    .replaceAll(/\$\{organization\}/g, tenant.organizationId)
    .replaceAll(/\$\{project\}/g, tenant.project)
    .replaceAll(/\$\{environment\}/g, tenant.environment)
    .replaceAll(/\$__timeFilter\((\w+)\)/g, "$1 >= now() - INTERVAL 1 HOUR AND $1 <= now()")
    .replaceAll(/\$__timeInterval\((\w+)\)/g, "toStartOfInterval(toDateTime($1), INTERVAL 60 second)")
    .replaceAll("$__interval_s", "60");
}

test("every panel is answered, and those over what was sent have it", async () => {
  const answers = new Map<string, Record<string, unknown>[]>();
  for (const { title, targets } of dashboard.panels) {
    for (const { rawSql } of targets) answers.set(title, await telemetry.store.reader.query(filled(rawSql)));
  }
  expect(answers.get("Failed requests")).toEqual([{ time: expect.any(String), service: "shop", failed: 1 }]);
  expect(answers.get("Slowest operations")).toMatchObject([{ operation: "GET /orders", requests: 1, p95_ms: 40 }]);
  expect(answers.get("Database time by statement")).toMatchObject([
    { statement: "SELECT * FROM orders WHERE id = ?", calls: 1 },
  ]);
  expect(answers.size).toBe(dashboard.panels.length);
});

test("every variable finds the environment", async () => {
  for (const { name, type, query } of dashboard.templating.list) {
    if (type !== "query") continue;
    const rows = await telemetry.store.reader.query<Record<string, string>>(filled(query));
    const wanted = { organization: tenant.organizationId, project: tenant.project, environment: tenant.environment };
    expect(
      rows.flatMap((row) => Object.values(row)),
      name,
    ).toContain(wanted[name as keyof typeof wanted]);
  }
});
