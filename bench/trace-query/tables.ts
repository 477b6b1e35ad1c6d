// Tables of spans to compare: the Collector exporter's own, ours, and ours with other indexes and orders.
import { index, type Table } from "../../platform/telemetry/schema/table.ts";
import { traces } from "../../platform/telemetry/schema/telemetry-tables.ts";

const sent = traces.columns.slice(0, 22);
const withoutAttributes = traces.indexes.filter(({ name }) => !name.startsWith("idx_span_attr"));
const bloom = (name: string, expression: string) => index(name, expression, "bloom_filter(0.01)");

/** As `exporter/clickhouseexporter` makes it, with its defaults. */
export const collector: Table = {
  name: "collector_traces",
  engine: "MergeTree",
  columns: sent,
  indexes: [
    index("idx_trace_id", "TraceId", "bloom_filter(0.001)"),
    bloom("idx_res_attr_key", "mapKeys(ResourceAttributes)"),
    bloom("idx_res_attr_value", "mapValues(ResourceAttributes)"),
    bloom("idx_span_attr_key", "mapKeys(SpanAttributes)"),
    bloom("idx_span_attr_value", "mapValues(SpanAttributes)"),
    index("idx_duration", "Duration", "minmax"),
    index("idx_lower_span_name", "lower(SpanName)", "tokenbf_v1(32768, 3, 0)", 8),
  ],
  partitionBy: "toDate(Timestamp)",
  primaryKey: "(ServiceName, SpanName, toDateTime(Timestamp))",
  orderBy: "(ServiceName, SpanName, toDateTime(Timestamp), Timestamp)",
  deduplicates: false,
};

const ours = (name: string, parts: Partial<Table>): Table => ({
  ...traces,
  ttl: undefined as never,
  primaryKey: undefined as never,
  name,
  ...parts,
});
const tenant = "Organization, Project, Environment";

/** One change each. */
export const variants: readonly Table[] = [
  collector,
  ours("ours", {}),
  ours("no_attribute_index", { indexes: withoutAttributes }),
  ours("values_alone", { indexes: [...withoutAttributes, bloom("idx_span_attr_value", "mapValues(SpanAttributes)")] }),
  ours("text_items", {
    indexes: [
      ...withoutAttributes,
      index(
        "idx_items",
        "arrayMap((k, v) -> concat(k, '=', v), mapKeys(SpanAttributes), mapValues(SpanAttributes))",
        "text(tokenizer = 'array')",
      ),
    ],
  }),
  ours("no_analysis_columns", { columns: traces.columns.filter(({ materialized }) => materialized === undefined) }),
  ours("by_time", {
    orderBy: `(${tenant}, toStartOfFiveMinutes(toDateTime(Timestamp)), ServiceName, SpanName, Timestamp)`,
  }),
  ours("by_hour", { orderBy: `(${tenant}, toStartOfHour(toDateTime(Timestamp)), ServiceName, SpanName, Timestamp)` }),
  ours("by_operation_and_trace", {
    orderBy: `(${tenant}, ServiceName, SpanName, toStartOfMinute(toDateTime(Timestamp)), TraceId)`,
  }),
  ours("codecs_plain", { columns: traces.columns.map((one) => ({ ...one, codec: "ZSTD(1)" })) }),
  ours("codecs_3", {
    columns: traces.columns.map((one) => ({ ...one, codec: (one.codec ?? "ZSTD(1)").replace("ZSTD(1)", "ZSTD(3)") })),
  }),
  ours("codecs_lz4", {
    columns: traces.columns.map((one) => ({ ...one, codec: (one.codec ?? "ZSTD(1)").replace("ZSTD(1)", "LZ4") })),
  }),
];
