// The telemetry tables: names and columns of the OpenTelemetry Collector's ClickHouse exporter, and what analysis needs besides.
import { type Column, column, type Index, index, type Table, type View } from "./table.ts";

const word = "LowCardinality(String)";
const map = "Map(LowCardinality(String), String)";
const maps = `Array(${map})`;
const time = "DateTime64(9)";
const timeCodec = { codec: "Delta(8), ZSTD(1)" };

/** Whose row it is, of which deployment, and for how many days it is kept; the last columns of every table. */
const owner: readonly Column[] = [
  column("Organization", word),
  column("Project", word),
  column("Environment", word),
  column("Deployment", word),
  column("RetentionDays", "UInt16", { default: "14" }),
];

const tenantKey = "Organization, Project, Environment";

/** Each day and retention is a partition of its own, so that whole parts go when their time is over. */
const kept = (timeColumn: string) => ({
  partitionBy: `(toDate(${timeColumn}), RetentionDays)`,
  ttl: `toDateTime(${timeColumn}) + toIntervalDay(RetentionDays)`,
  deduplicates: true,
});

const bloom = (name: string, expression: string, rate: number) => index(name, expression, `bloom_filter(${rate})`);
const mapIndexes = (short: string, name: string): Index[] => [
  bloom(`idx_${short}_key`, `mapKeys(${name})`, 0.01),
  bloom(`idx_${short}_value`, `mapValues(${name})`, 0.01),
];

/** The first of these attributes that is set. */
const attribute = (...names: [string, ...string[]]) =>
  names.map((name) => `SpanAttributes['${name}']`).reduceRight((rest, one) => `if(${one} != '', ${one}, ${rest})`);

// Names of the stable conventions first, then those that were in use before.
const method = attribute("http.request.method", "http.method");
const destination = attribute("messaging.destination.name", "messaging.destination");

export const traces: Table = {
  name: "otel_traces",
  engine: "MergeTree",
  columns: [
    column("Timestamp", time, timeCodec),
    column("TraceId", "String"),
    column("SpanId", "String"),
    column("ParentSpanId", "String"),
    column("TraceState", "String"),
    column("SpanName", word),
    column("SpanKind", word),
    column("ServiceName", word),
    column("ResourceAttributes", map),
    column("ScopeName", "String"),
    column("ScopeVersion", "String"),
    column("SpanAttributes", map),
    column("Duration", "UInt64", { codec: "T64, ZSTD(1)" }),
    column("StatusCode", word),
    column("StatusMessage", "String"),
    column("Events.Timestamp", `Array(${time})`),
    column("Events.Name", `Array(${word})`),
    column("Events.Attributes", maps),
    column("Links.TraceId", "Array(String)"),
    column("Links.SpanId", "Array(String)"),
    column("Links.TraceState", "Array(String)"),
    column("Links.Attributes", maps),
    ...owner,
    // How many spans this one stands for: more than 1 where others like it were left out by sampling.
    column("AdjustedCount", "Float64", { default: "1" }),
    column("StmtHash", "UInt64", {
      codec: "ZSTD(1)",
      materialized:
        "if(SpanAttributes['db.query.text'] = '', 0, cityHash64(normalizeQuery(SpanAttributes['db.query.text'])))",
    }),
    column("N1Key", "UInt64", { materialized: "if(StmtHash = 0, 0, cityHash64(TraceId, ParentSpanId, StmtHash))" }),
    column("NormalizedQuery", word, {
      materialized: `normalizeQuery(${attribute("db.query.text", "db.statement")})`,
    }),
    // A span's name says less than this where an instrumentation names it after the method alone.
    column("Operation", word, {
      materialized:
        "multiIf(SpanAttributes['http.route'] != '' AND SpanKind = 'Server', " +
        `trimLeft(concat(${method}, ' ', SpanAttributes['http.route'])), ` +
        `${destination} != '' AND position(SpanName, ${destination}) = 0, ` +
        `concat(SpanName, ' ', ${destination}), SpanName)`,
    }),
    column("HttpStatus", "UInt16", {
      materialized: `toUInt16OrZero(${attribute("http.response.status_code", "http.status_code")})`,
    }),
  ],
  indexes: [
    bloom("idx_trace_id", "TraceId", 0.001),
    index("idx_duration", "Duration", "minmax"),
    ...mapIndexes("span_attr", "SpanAttributes"),
  ],
  primaryKey: `(${tenantKey}, ServiceName, SpanName, toDateTime(Timestamp))`,
  orderBy: `(${tenantKey}, ServiceName, SpanName, toDateTime(Timestamp))`,
  ...kept("Timestamp"),
};

export const traceTimes: Table = {
  name: "otel_traces_trace_id_ts",
  engine: "AggregatingMergeTree",
  columns: [
    column("TraceId", "String"),
    column("Start", "SimpleAggregateFunction(min, DateTime)"),
    column("End", "SimpleAggregateFunction(max, DateTime)"),
    column("Organization", word),
    column("Project", word),
    column("Environment", word),
    column("RetentionDays", "UInt16"),
  ],
  indexes: [],
  orderBy: `(TraceId, ${tenantKey})`,
  partitionBy: "(toMonday(Start), RetentionDays)",
  ttl: "End + toIntervalDay(RetentionDays)",
  deduplicates: true,
};

export const traceTimesView: View = {
  name: "otel_traces_trace_id_ts_mv",
  to: traceTimes.name,
  select:
    "SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End, Organization, Project, Environment, RetentionDays" +
    ` FROM ${traces.name} WHERE TraceId != '' GROUP BY TraceId, ${tenantKey}, RetentionDays`,
};

export const logs: Table = {
  name: "otel_logs",
  engine: "MergeTree",
  columns: [
    column("Timestamp", time, timeCodec),
    column("TimestampTime", "DateTime", { default: "toDateTime(Timestamp)", codec: "Delta(4), ZSTD(1)" }),
    column("TraceId", "String"),
    column("SpanId", "String"),
    column("TraceFlags", "UInt8"),
    column("SeverityText", word),
    column("SeverityNumber", "UInt8"),
    column("ServiceName", word),
    column("Body", "String"),
    column("ResourceSchemaUrl", word),
    column("ResourceAttributes", map),
    column("ScopeSchemaUrl", word),
    column("ScopeName", "String"),
    column("ScopeVersion", word),
    column("ScopeAttributes", map),
    column("LogAttributes", map),
    column("EventName", "String"),
    ...owner,
  ],
  indexes: [
    bloom("idx_trace_id", "TraceId", 0.001),
    ...mapIndexes("log_attr", "LogAttributes"),
    // Serves LIKE '%…%' of three characters and more.
    index("idx_body", "Body", "text(tokenizer = ngrams(3))"),
  ],
  primaryKey: `(${tenantKey}, TimestampTime)`,
  orderBy: `(${tenantKey}, TimestampTime, Timestamp)`,
  ...kept("Timestamp"),
};

const point: readonly Column[] = [
  column("ResourceAttributes", map),
  column("ResourceSchemaUrl", word),
  column("ScopeName", word),
  column("ScopeVersion", word),
  column("ScopeAttributes", map),
  column("ScopeDroppedAttrCount", "UInt32"),
  column("ScopeSchemaUrl", word),
  column("ServiceName", word),
  column("MetricName", word),
  column("MetricDescription", word),
  column("MetricUnit", word),
  column("Attributes", map),
  column("StartTimeUnix", time, timeCodec),
  column("TimeUnix", time, timeCodec),
];

const exemplars: readonly Column[] = [
  column("Exemplars.FilteredAttributes", maps),
  column("Exemplars.TimeUnix", `Array(${time})`),
  column("Exemplars.Value", "Array(Float64)"),
  column("Exemplars.SpanId", "Array(String)"),
  column("Exemplars.TraceId", "Array(String)"),
];

const sums: readonly Column[] = [column("Count", "UInt64"), column("Sum", "Float64")];
const extremes: readonly Column[] = [
  column("Flags", "UInt32"),
  column("Min", "Float64"),
  column("Max", "Float64"),
  column("AggregationTemporality", "Int32"),
];

function metric(kind: string, own: readonly Column[]): Table {
  return {
    name: `otel_metrics_${kind}`,
    engine: "MergeTree",
    columns: [...point, ...own, ...owner.slice(0, -1), column("RetentionDays", "UInt16", { default: "30" })],
    indexes: [...mapIndexes("attr", "Attributes"), index("idx_time_minmax", "TimeUnix", "minmax")],
    orderBy: `(${tenantKey}, ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)`,
    ...kept("TimeUnix"),
  };
}

export const metrics: readonly Table[] = [
  metric("gauge", [column("Value", "Float64"), column("Flags", "UInt32"), ...exemplars]),
  metric("sum", [
    column("Value", "Float64"),
    column("Flags", "UInt32"),
    ...exemplars,
    column("AggregationTemporality", "Int32"),
    column("IsMonotonic", "Bool"),
  ]),
  metric("histogram", [
    ...sums,
    column("BucketCounts", "Array(UInt64)"),
    column("ExplicitBounds", "Array(Float64)"),
    ...exemplars,
    ...extremes,
  ]),
  metric("exponential_histogram", [
    ...sums,
    column("Scale", "Int32"),
    column("ZeroCount", "UInt64"),
    column("PositiveOffset", "Int32"),
    column("PositiveBucketCounts", "Array(UInt64)"),
    column("NegativeOffset", "Int32"),
    column("NegativeBucketCounts", "Array(UInt64)"),
    ...exemplars,
    ...extremes,
  ]),
  metric("summary", [
    ...sums,
    column("ValueAtQuantiles.Quantile", "Array(Float64)"),
    column("ValueAtQuantiles.Value", "Array(Float64)"),
    column("Flags", "UInt32"),
  ]),
];

export const recordings: Table = {
  name: "recordings",
  engine: "ReplacingMergeTree",
  columns: [
    column("Timestamp", "DateTime64(3)", { codec: "Delta, ZSTD(1)" }),
    column("Organization", word),
    column("Project", word),
    column("Environment", word),
    column("Deployment", word),
    column("Kind", word),
    column("TraceId", "String"),
    column("SpanId", "String"),
    column("Name", word),
    column("Payload", "String", { codec: "ZSTD(3)" }),
  ],
  indexes: [bloom("idx_trace_id", "TraceId", 0.001)],
  partitionBy: "toDate(Timestamp)",
  orderBy: `(${tenantKey}, Kind, Name, Timestamp, TraceId, SpanId)`,
  ttl: "toDateTime(Timestamp) + toIntervalDay(7)",
  deduplicates: true,
};

/** Every table that rows are inserted into, directly or by a view. */
export const telemetryTables: readonly Table[] = [traces, traceTimes, logs, ...metrics, recordings];
