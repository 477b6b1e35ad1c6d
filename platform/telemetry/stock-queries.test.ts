// Queries of others against our tables: what Grafana's ClickHouse plugin and HyperDX (ClickStack) ask, in the form in which they ask.
//
// Grafana: "Using Grafana" of ClickHouse's documentation (docs/use-cases/observability/build-your-own/grafana.md) and
// `src/data/sqlGenerator.ts` of grafana/clickhouse-datasource, with its macros replaced. HyperDX: `renderChartConfig`, `queryParser` and `metadata` in packages/common-utils of hyperdxio/hyperdx, with the
// expressions that its sources have for these tables by default.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openEmbeddedEngine } from "./embedded-engine.ts";
import type { TelemetryEngine } from "./engine.ts";
import { encodeLogs, type LogRow, noScope } from "./ingest/log-rows.ts";
import { encodeProtobufSpans } from "./ingest/spans-protobuf.ts";
import { liveBounds } from "./ingest/tables.ts";
import { migrateTelemetry } from "./migrate.ts";
import { makeSpans } from "./telemetry-fixture.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const now = Date.now();
let directory: string;
let engine: TelemetryEngine;
let trace: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-stock-"));
  engine = await openEmbeddedEngine(directory);
  await migrateTelemetry(engine);
  const spans = makeSpans([
    {
      name: "GET /orders/:id",
      kind: SpanKind.SERVER,
      ms: 120,
      error: "boom",
      attributes: { "http.route": "/orders/:id", "http.request.method": "GET", "http.response.status_code": 500 },
      events: [{ name: "exception", attributes: { "exception.message": "boom" } }],
      children: [{ name: "SELECT orders", kind: SpanKind.CLIENT, attributes: { "db.query.text": "SELECT 1" } }],
    },
    { name: "GET /", kind: SpanKind.SERVER, ms: 5 },
  ]);
  trace = spans.find(({ name }) => name === "GET /orders/:id")!.spanContext().traceId;
  const file = join(directory, "rows");
  const body = ProtobufTraceSerializer.serializeRequest(spans)!;
  await writeFile(file, encodeProtobufSpans(body, tenant, liveBounds(14)).rows);
  await engine.insert("otel_traces", file, "traces");
  const log = (text: string, severity: string, traceId = ""): LogRow => ({
    time: BigInt(now - 500) * 1_000_000n,
    traceId,
    spanId: "",
    flags: 0,
    severityText: severity,
    severityNumber: 9,
    service: "shop",
    body: text,
    resource: [["service.name", "shop"]],
    resourceSchemaUrl: "",
    scope: noScope,
    attributes: [["http.route", "/orders/:id"]],
    eventName: "",
    tenant,
    deployment: "",
  });
  const logs = [log("payment of order 7 Failed with code 51", "ERROR", trace), log("order 8 was paid", "INFO")];
  await writeFile(file, encodeLogs(logs, 14));
  await engine.insert("otel_logs", file, "logs");
  await engine.command(
    `INSERT INTO otel_metrics_gauge (ServiceName, MetricName, TimeUnix, Value)
      SELECT 'shop', 'nodejs.event_loop.utilization', now64(9) - number, number / 10 FROM numbers(10)`,
  );
  await engine.command(
    `INSERT INTO otel_metrics_sum (ServiceName, MetricName, TimeUnix, Value, AggregationTemporality, IsMonotonic)
      SELECT 'shop', 'requests', now64(9) - 10 + number, number * 5, 2, true FROM numbers(10)`,
  );
  await engine.command(
    `INSERT INTO otel_metrics_histogram (ServiceName, MetricName, TimeUnix, Count, Sum, BucketCounts, ExplicitBounds, AggregationTemporality)
      SELECT 'shop', 'http.server.duration', now64(9) - 10 + number, 6, 3, [1, 2, 3], [0.1, 0.5], 1 FROM numbers(10)`,
  );
});
afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true, force: true });
});

const ask = async <Row = Record<string, unknown>>(sql: string): Promise<Row[]> =>
  JSON.parse(await engine.select(sql, {})) as Row[];

describe("Grafana", () => {
  const from = `fromUnixTimestamp64Milli(${now - 3_600_000})`;
  const to = `fromUnixTimestamp64Milli(${now + 60_000})`;

  test("finds traces", async () => {
    const rows = await ask(
      `SELECT "TraceId" as traceID, "ServiceName" as serviceName, "SpanName" as operationName, "Timestamp" as startTime,
        multiply("Duration", 0.000001) as duration FROM "default"."otel_traces"
        WHERE ( Timestamp >= ${from} AND Timestamp <= ${to} ) AND ( ParentSpanId = '' ) AND ( Duration > 0 )
        ORDER BY Timestamp DESC, Duration DESC LIMIT 1000`,
    );
    expect(rows).toHaveLength(2);
    expect(rows).toContainEqual(
      expect.objectContaining({ traceID: trace, serviceName: "shop", operationName: "GET /orders/:id", duration: 120 }),
    );
  });

  test("shows a trace by its id and the table of its times", async () => {
    const rows = await ask(
      `WITH '${trace}' as trace_id, (SELECT min(Start) FROM "default"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) as trace_start,
        (SELECT max(End) + 1 FROM "default"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) as trace_end
        SELECT "TraceId" as traceID, "SpanId" as spanID, "ParentSpanId" as parentSpanID, "ServiceName" as serviceName,
        "SpanName" as operationName, "Timestamp" as startTime, multiply("Duration", 0.000001) as duration,
        arrayMap(key -> map('key', key, 'value',"SpanAttributes"[key]), mapKeys("SpanAttributes")) as tags,
        arrayMap(key -> map('key', key, 'value',"ResourceAttributes"[key]), mapKeys("ResourceAttributes")) as serviceTags
        FROM "default"."otel_traces" WHERE traceID = trace_id AND startTime >= trace_start AND startTime <= trace_end LIMIT 1000`,
    );
    expect(rows.map((row) => row.operationName).sort()).toEqual(["GET /orders/:id", "SELECT orders"]);
    expect(rows.find((row) => row.operationName === "GET /orders/:id")?.tags).toContainEqual({
      key: "http.route",
      value: "/orders/:id",
    });
  });

  test("lists logs, those with a text, and those of a trace", async () => {
    const select = `SELECT Timestamp as "timestamp", Body as "body", SeverityText as "level", TraceId as "traceID" FROM "default"."otel_logs"`;
    const within = `( timestamp >= ${from} AND timestamp <= ${to} )`;
    expect(await ask(`${select} WHERE ${within} ORDER BY timestamp DESC LIMIT 1000`)).toHaveLength(2);
    expect(
      await ask(`${select} WHERE ${within} AND (body LIKE '%order 8%') ORDER BY timestamp DESC LIMIT 1000`),
    ).toMatchObject([{ level: "INFO" }]);
    expect(await ask(`${select} WHERE ( traceID = '${trace}' ) ORDER BY timestamp ASC LIMIT 1000`)).toMatchObject([
      { level: "ERROR" },
    ]);
    // With an "OTel version" set, the plugin's filter is on the column of whole seconds.
    expect(
      await ask(
        `SELECT Timestamp as "timestamp", Body as "body" FROM "default"."otel_logs"
          WHERE ( TimestampTime >= toDateTime(${from}) AND TimestampTime <= toDateTime(${to}) ) ORDER BY timestamp DESC LIMIT 100`,
      ),
    ).toHaveLength(2);
  });

  test("draws a line for each service", async () => {
    const rows = await ask(
      `SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 60 second) as time, ServiceName,
        quantile(0.99)(Duration)/1000000 AS p99 FROM otel_traces
        WHERE Timestamp >= toDateTime(${from}) AND Timestamp <= toDateTime(${to})
        GROUP BY ServiceName, time ORDER BY time ASC LIMIT 100000`,
    );
    expect(rows[0]).toMatchObject({ ServiceName: "shop", p99: expect.any(Number) });
  });
});

describe("HyperDX", () => {
  const range = (column: string) =>
    `(${column} >= fromUnixTimestamp64Milli(${now - 3_600_000}) AND ${column} <= fromUnixTimestamp64Milli(${now + 60_000}))`;

  test("searches logs by words and by attributes", async () => {
    const search = (where: string) =>
      ask(
        `SELECT Timestamp,ServiceName,SeverityText,Body,TimestampTime FROM default.otel_logs
          WHERE ${range("TimestampTime")} AND (${where}) ORDER BY TimestampTime DESC LIMIT 200 OFFSET 0`,
      );
    expect(await search("(hasToken(lower(Body), lower('failed')))")).toHaveLength(1);
    expect(
      await search("(hasToken(lower(Body), lower('order'))) AND (NOT hasToken(lower(Body), lower('failed')))"),
    ).toHaveLength(1);
    expect(await search("(lower(Body) LIKE lower('%order 7%'))")).toHaveLength(1);
    expect(await search("(`LogAttributes`['http.route'] = '/orders/:id')")).toHaveLength(2);
    expect(
      await search(
        "(`LogAttributes`['http.route'] ILIKE '%orders%' AND indexHint(mapContains(`LogAttributes`, 'http.route')))",
      ),
    ).toHaveLength(2);
    expect(await search("SeverityText IN ('ERROR')")).toHaveLength(1);
  });

  test("counts logs over time", async () => {
    const rows = await ask(
      `SELECT count(),SeverityText,toStartOfInterval(toDateTime(TimestampTime), INTERVAL 1 minute) AS \`__hdx_time_bucket\`
        FROM default.otel_logs WHERE ${range("TimestampTime")}
        GROUP BY SeverityText, toStartOfInterval(toDateTime(TimestampTime), INTERVAL 1 minute) AS \`__hdx_time_bucket\`
        ORDER BY toStartOfInterval(toDateTime(TimestampTime), INTERVAL 1 minute) AS \`__hdx_time_bucket\` LIMIT 1000`,
    );
    expect(rows).toHaveLength(2);
  });

  test("searches spans, and lists those of a trace with their events", async () => {
    expect(
      await ask(
        `SELECT Timestamp,ServiceName,StatusCode,round(Duration/1e6),SpanName FROM default.otel_traces
          WHERE ${range("Timestamp")} AND (\`SpanAttributes\`['http.route'] = '/orders/:id') AND (StatusCode ILIKE '%error%')
          ORDER BY Timestamp DESC LIMIT 200 OFFSET 0`,
      ),
    ).toHaveLength(1);
    const spans = await ask(
      `SELECT SpanName AS Body, Timestamp, Duration, SpanId, ParentSpanId, StatusCode, ServiceName, SpanAttributes, SpanKind,
        Events.Name[1] AS event, arrayFilter((x, y) -> y = 'exception', Events.Attributes, Events.Name) AS __hdx_events_exception_attributes
        FROM default.otel_traces WHERE ${range("Timestamp")} AND TraceId = '${trace}' ORDER BY Timestamp ASC LIMIT 10000`,
    );
    expect(spans).toHaveLength(2);
    expect(spans[0]).toMatchObject({
      event: "exception",
      __hdx_events_exception_attributes: [{ "exception.message": "boom" }],
    });
  });

  test("learns which attributes and values there are", async () => {
    const keys = await ask<{ key: string }>(
      `WITH sampledKeys as (SELECT \`SpanAttributes\`.keys AS keysArr FROM default.otel_traces LIMIT 3000000)
        SELECT DISTINCT lowCardinalityKeys(arrayJoin(keysArr)) as key FROM sampledKeys LIMIT 1000`,
    );
    // The function reads the column's dictionary, which with as few rows as here leaves one key out.
    expect(keys.map(({ key }) => key)).toContain("http.route");
    expect(
      await ask(
        "SELECT DISTINCT `SpanAttributes`['http.route'] as value FROM default.otel_traces WHERE value != '' LIMIT 20",
      ),
    ).toEqual([{ value: "/orders/:id" }]);
    expect(await ask("DESCRIBE default.otel_traces")).toContainEqual(
      expect.objectContaining({ name: "SpanAttributes", type: "Map(LowCardinality(String), String)" }),
    );
  });

  test("charts gauges, sums and histograms", async () => {
    const bucket = "toStartOfInterval(toDateTime(TimeUnix), INTERVAL 1 minute)";
    expect(
      await ask(
        `SELECT quantile(0.95)(toFloat64OrNull(toString(Value))),${bucket} AS \`__hdx_time_bucket\` FROM default.otel_metrics_gauge
          WHERE ${range("TimeUnix")} AND (MetricName = 'nodejs.event_loop.utilization')
          GROUP BY ${bucket} AS \`__hdx_time_bucket\` ORDER BY ${bucket} AS \`__hdx_time_bucket\` LIMIT 10`,
      ),
    ).not.toEqual([]);
    const hash = "cityHash64(mapConcat(ScopeAttributes, ResourceAttributes, Attributes)) AS AttributesHash";
    expect(
      await ask(
        `WITH Source AS (SELECT *, ${hash}, any(AttributesHash) OVER (ORDER BY AttributesHash, TimeUnix ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS PrevAttributesHash,
            any(Value) OVER (ORDER BY AttributesHash, TimeUnix ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS PrevValue,
            IF(AggregationTemporality = 1, Value, IF(AttributesHash != PrevAttributesHash, 0, Value - PrevValue)) AS Rate
            FROM default.otel_metrics_sum WHERE MetricName = 'requests')
          SELECT sum(Rate) AS total, any(IsMonotonic) AS monotonic, any(ScopeDroppedAttrCount) AS dropped FROM Source`,
      ),
    ).toEqual([{ total: 45, monotonic: true, dropped: 0 }]);
    expect(
      await ask(
        `SELECT count() AS n, any(length(BucketCounts)) AS buckets FROM (SELECT *, ${hash}, length(BucketCounts) as CountLength
          FROM default.otel_metrics_histogram) WHERE MetricName = 'http.server.duration'`,
      ),
    ).toEqual([{ n: 10, buckets: 3 }]);
  });
});
