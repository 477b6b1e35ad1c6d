// The engine port: what the telemetry store needs of a ClickHouse, in this process or on a server.

import type { IngestTable } from "./ingest/tables.ts";
import type { QueryParams } from "./reader.ts";

/** One ClickHouse. Statements come from our code alone: values from users go into `params` or rows. */
export interface TelemetryEngine {
  /** Runs a statement that changes something. */
  command(sql: string): Promise<void>;
  /**
   * Stores a file of RowBinary rows; resolves when queries see them and the engine would keep them through a kill -9. The
   * same token stores once.
   */
  insert(table: IngestTable, file: string, token: string): Promise<void>;
  /** Runs a SELECT under caps of time and memory, without any right to change something. Returns one JSON array. */
  select(sql: string, params: QueryParams): Promise<string>;
  /** Runs an EXPLAIN under the same caps. Returns its lines. */
  explain(sql: string): Promise<string>;
  /**
   * Runs a SELECT that somebody outside wrote, under settings that it cannot change, in a session of its own. Of each
   * table in `filters` it sees only rows for which the expression holds. Returns one JSON array.
   */
  selectWithin(sql: string, filters: Readonly<Record<string, string>>): Promise<string>;
  close(): Promise<void>;
}

/** Caps of one query, as ClickHouse settings. */
export const readSettings = {
  max_execution_time: 30,
  timeout_overflow_mode: "throw",
  max_memory_usage: "800000000",
  max_bytes_before_external_group_by: "300000000",
  max_result_rows: "200000",
  result_overflow_mode: "throw",
  output_format_json_quote_64bit_integers: 0,
  // One document: what does not belong to the answer makes it unreadable instead of one row more.
  output_format_json_array_of_rows: 1,
} as const;

/** Caps of a query that somebody outside wrote. */
export const outsideSettings = {
  ...readSettings,
  max_execution_time: 10,
  max_memory_usage: "400000000",
  max_bytes_before_external_group_by: "0",
  max_rows_to_read: "50000000",
  max_result_rows: "10001",
  max_result_bytes: "20000000",
  max_threads: 1,
  // The limit of time is looked at between blocks.
  max_block_size: "1024",
  max_subquery_depth: "20",
  max_ast_elements: "5000",
  max_expanded_ast_elements: "20000",
} as const;

/** A map of table to filter as the value of `additional_table_filters`. */
export function tableFilters(filters: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(filters).map(([table, filter]) => `${literal(table)}: ${literal(filter)}`);
  return `{${pairs.join(", ")}}`;
}

/** Text as a literal of SQL. */
export function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** Columns' names for an INSERT. */
export function columnList(columns: ReadonlyArray<readonly [name: string, type: string]>): string {
  return columns.map(([name]) => `\`${name}\``).join(", ");
}
