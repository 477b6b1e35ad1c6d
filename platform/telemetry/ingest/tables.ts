// The tables that ingest writes to: their columns in the order of the rows' bytes, as ClickHouse types.

/** Whose data it is: from the token of the request, never from its body. */
export interface Tenant {
  organizationId: string;
  project: string;
  environment: string;
}

export const ingestTables = ["otel_traces", "otel_logs", "recordings"] as const;
export type IngestTable = (typeof ingestTables)[number];

const map = "Map(String, String)";
const maps = "Array(Map(String, String))";

/** Names and types of the columns of a RowBinary row. */
export const columns: Record<IngestTable, ReadonlyArray<readonly [name: string, type: string]>> = {
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
    ["Organization", "String"],
    ["Project", "String"],
    ["Environment", "String"],
    ["Deployment", "String"],
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
    ["ResourceAttributes", map],
    ["ScopeName", "String"],
    ["LogAttributes", map],
    ["Organization", "String"],
    ["Project", "String"],
    ["Environment", "String"],
    ["Deployment", "String"],
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

/** Which times rows may have, in nanoseconds since the epoch. */
export interface TimeBounds {
  from: bigint;
  to: bigint;
}

const day = 86_400_000_000_000n;

/**
 * From the tables' retention to a day ahead. Each day is a partition: a body with a thousand different days would make
 * a thousand files and fail the inserts of others.
 */
export function liveBounds(now: number = Date.now()): TimeBounds {
  const nanoseconds = BigInt(Math.round(now)) * 1_000_000n;
  return { from: nanoseconds - 14n * day, to: nanoseconds + day };
}

/** Any time that ClickHouse can hold, from 1970 on; for files that are analyzed and thrown away. */
export const anyTime: TimeBounds = { from: 1n, to: 7_258_118_400_000_000_000n };
