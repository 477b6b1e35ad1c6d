// Telemetry migration 1: the OpenTelemetry Collector exporter's traces and logs tables with tenant columns, and recordings.
import type { SchemaOptions } from "../schema/options.ts";
import { createTable, type Step } from "../schema/statements.ts";
import { type Column, column, index, type Table } from "../schema/table.ts";
import { recordings } from "../schema/telemetry-tables.ts";

const word = "LowCardinality(String)";
const map = "Map(LowCardinality(String), String)";
const timestamp = column("Timestamp", "DateTime64(9)", { codec: "Delta, ZSTD(1)" });
const owner: Column[] = ["Organization", "Project", "Environment", "Deployment"].map((name) => column(name, word));
const days14 = {
  partitionBy: "toDate(Timestamp)",
  ttl: "toDateTime(Timestamp) + toIntervalDay(14)",
  deduplicates: false,
};

export const tracesOfVersion1: Table = {
  name: "otel_traces",
  engine: "MergeTree",
  columns: [
    timestamp,
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
    column("Duration", "UInt64"),
    column("StatusCode", word),
    column("StatusMessage", "String"),
    column("Events.Timestamp", "Array(DateTime64(9))"),
    column("Events.Name", `Array(${word})`),
    column("Events.Attributes", `Array(${map})`),
    column("Links.TraceId", "Array(String)"),
    column("Links.SpanId", "Array(String)"),
    column("Links.TraceState", "Array(String)"),
    column("Links.Attributes", `Array(${map})`),
    ...owner,
  ],
  indexes: [index("idx_trace_id", "TraceId", "bloom_filter(0.001)"), index("idx_duration", "Duration", "minmax")],
  orderBy: "(Organization, Project, Environment, ServiceName, SpanName, toDateTime(Timestamp))",
  ...days14,
};

export const logsOfVersion1: Table = {
  name: "otel_logs",
  engine: "MergeTree",
  columns: [
    timestamp,
    column("TraceId", "String"),
    column("SpanId", "String"),
    column("TraceFlags", "UInt8"),
    column("SeverityText", word),
    column("SeverityNumber", "UInt8"),
    column("ServiceName", word),
    column("Body", "String"),
    column("ResourceAttributes", map),
    column("ScopeName", "String"),
    column("LogAttributes", map),
    ...owner,
  ],
  indexes: [index("idx_body", "Body", "text(tokenizer = ngrams(3))")],
  orderBy: "(Organization, Project, Environment, Timestamp)",
  ...days14,
};

export function steps(options: SchemaOptions): Step[] {
  return [tracesOfVersion1, logsOfVersion1, recordings].map((table) => ({ sql: createTable(table, options) }));
}
