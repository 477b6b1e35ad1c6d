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

/** Columns' names for an INSERT. */
export function columnList(columns: ReadonlyArray<readonly [name: string, type: string]>): string {
  return columns.map(([name]) => `\`${name}\``).join(", ");
}
