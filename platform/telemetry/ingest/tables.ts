// The tables that ingest writes to: their columns in the order of the rows' bytes, as ClickHouse types.

/** Whose data it is: from the token of the request, never from its body. */
export interface Tenant {
  organizationId: string;
  project: string;
  environment: string;
}

/** Names of the tables and of their columns are those of the Collector's ClickHouse exporter; our own stand at the end of a row. */
export const ingestTables = [
  "otel_traces",
  "otel_logs",
  "otel_metrics_gauge",
  "otel_metrics_sum",
  "otel_metrics_histogram",
  "otel_metrics_exponential_histogram",
  "otel_metrics_summary",
  "recordings",
] as const;
export type IngestTable = (typeof ingestTables)[number];

type Columns = ReadonlyArray<readonly [name: string, type: string]>;

const map = "Map(String, String)";
const maps = "Array(Map(String, String))";

/** Whose row it is, of which deployment, and how many days it is kept. */
const owner: Columns = [
  ["Organization", "String"],
  ["Project", "String"],
  ["Environment", "String"],
  ["Deployment", "String"],
  ["RetentionDays", "UInt16"],
];

/** What every data point begins with. */
const point: Columns = [
  ["ResourceAttributes", map],
  ["ResourceSchemaUrl", "String"],
  ["ScopeName", "String"],
  ["ScopeVersion", "String"],
  ["ScopeAttributes", map],
  ["ScopeDroppedAttrCount", "UInt32"],
  ["ScopeSchemaUrl", "String"],
  ["ServiceName", "String"],
  ["MetricName", "String"],
  ["MetricDescription", "String"],
  ["MetricUnit", "String"],
  ["Attributes", map],
  ["StartTimeUnix", "DateTime64(9)"],
  ["TimeUnix", "DateTime64(9)"],
];

const exemplars: Columns = [
  ["Exemplars.FilteredAttributes", maps],
  ["Exemplars.TimeUnix", "Array(DateTime64(9))"],
  ["Exemplars.Value", "Array(Float64)"],
  ["Exemplars.SpanId", "Array(String)"],
  ["Exemplars.TraceId", "Array(String)"],
];

/** Names and types of the columns of a RowBinary row. */
export const columns: Record<IngestTable, Columns> = {
  otel_traces: [
    ["Timestamp", "DateTime64(9)"],
    ["TraceId", "String"],
    ["SpanId", "String"],
    ["ParentSpanId", "String"],
    ["TraceState", "String"],
    ["SpanName", "String"],
    ["SpanKind", "String"],
    ["ServiceName", "String"],
    ["ResourceAttributes", map],
    ["ScopeName", "String"],
    ["ScopeVersion", "String"],
    ["SpanAttributes", map],
    ["Duration", "UInt64"],
    ["StatusCode", "String"],
    ["StatusMessage", "String"],
    ["Events.Timestamp", "Array(DateTime64(9))"],
    ["Events.Name", "Array(String)"],
    ["Events.Attributes", maps],
    ["Links.TraceId", "Array(String)"],
    ["Links.SpanId", "Array(String)"],
    ["Links.TraceState", "Array(String)"],
    ["Links.Attributes", maps],
    ...owner,
    // How many spans this one stands for: 1 without sampling (OpenTelemetry's "adjusted count").
    ["AdjustedCount", "Float64"],
  ],
  otel_logs: [
    ["Timestamp", "DateTime64(9)"],
    ["TraceId", "String"],
    ["SpanId", "String"],
    ["TraceFlags", "UInt8"],
    ["SeverityText", "String"],
    ["SeverityNumber", "UInt8"],
    ["ServiceName", "String"],
    ["Body", "String"],
    ["ResourceSchemaUrl", "String"],
    ["ResourceAttributes", map],
    ["ScopeSchemaUrl", "String"],
    ["ScopeName", "String"],
    ["ScopeVersion", "String"],
    ["ScopeAttributes", map],
    ["LogAttributes", map],
    ["EventName", "String"],
    ...owner,
  ],
  otel_metrics_gauge: [...point, ["Value", "Float64"], ["Flags", "UInt32"], ...exemplars, ...owner],
  otel_metrics_sum: [
    ...point,
    ["Value", "Float64"],
    ["Flags", "UInt32"],
    ...exemplars,
    ["AggregationTemporality", "Int32"],
    ["IsMonotonic", "Bool"],
    ...owner,
  ],
  otel_metrics_histogram: [
    ...point,
    ["Count", "UInt64"],
    ["Sum", "Float64"],
    ["BucketCounts", "Array(UInt64)"],
    ["ExplicitBounds", "Array(Float64)"],
    ...exemplars,
    ["Flags", "UInt32"],
    ["Min", "Float64"],
    ["Max", "Float64"],
    ["AggregationTemporality", "Int32"],
    ...owner,
  ],
  otel_metrics_exponential_histogram: [
    ...point,
    ["Count", "UInt64"],
    ["Sum", "Float64"],
    ["Scale", "Int32"],
    ["ZeroCount", "UInt64"],
    ["PositiveOffset", "Int32"],
    ["PositiveBucketCounts", "Array(UInt64)"],
    ["NegativeOffset", "Int32"],
    ["NegativeBucketCounts", "Array(UInt64)"],
    ...exemplars,
    ["Flags", "UInt32"],
    ["Min", "Float64"],
    ["Max", "Float64"],
    ["AggregationTemporality", "Int32"],
    ...owner,
  ],
  otel_metrics_summary: [
    ...point,
    ["Count", "UInt64"],
    ["Sum", "Float64"],
    ["ValueAtQuantiles.Quantile", "Array(Float64)"],
    ["ValueAtQuantiles.Value", "Array(Float64)"],
    ["Flags", "UInt32"],
    ...owner,
  ],
  recordings: [
    ["Timestamp", "DateTime64(3)"],
    ["Organization", "String"],
    ["Project", "String"],
    ["Environment", "String"],
    ["Deployment", "String"],
    ["Kind", "String"],
    ["TraceId", "String"],
    ["SpanId", "String"],
    ["Name", "String"],
    ["Payload", "String"],
  ],
};

/** `SpanKind` by OTLP's number; the words of the Collector's exporter. */
export const spanKinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"] as const;
/** `StatusCode` by OTLP's number. */
export const statusCodes = ["Unset", "Ok", "Error"] as const;

/** Rows as bytes, how many, and what was refused of the request and why. */
export interface EncodedRows {
  rows: Buffer;
  accepted: number;
  rejected: number;
  /** Empty where nothing was refused. */
  reason: string;
}

/** Which times rows may have, in nanoseconds since the epoch, and for how many days they are kept. */
export interface TimeBounds {
  from: bigint;
  to: bigint;
  retentionDays: number;
}

const day = 86_400_000_000_000n;

/**
 * From what would be dropped at once to a day ahead. Each day is a partition: a body with a thousand different days would
 * make a thousand files and fail the inserts of others.
 */
export function liveBounds(retentionDays: number, now: number = Date.now()): TimeBounds {
  const nanoseconds = BigInt(Math.round(now)) * 1_000_000n;
  return { from: nanoseconds - BigInt(retentionDays) * day, to: nanoseconds + day, retentionDays };
}

/** Any time that ClickHouse can hold, from 1970 on; for files that are analyzed and thrown away. */
export const anyTime: TimeBounds = { from: 1n, to: 7_258_118_400_000_000_000n, retentionDays: 65_535 };
