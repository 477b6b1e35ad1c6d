// TelemetryReader: the read access to ClickHouse that queries and analyzers get.

/** Values for `{name:Type}` placeholders. Text from users reaches SQL by these alone. */
export type QueryParams = Record<string, string | number | boolean | string[] | number[]>;

export interface TelemetryReader {
  /**
   * Runs one SELECT and returns its rows as objects (64-bit integers as numbers where safe).
   * Time and memory are capped; past them it throws a TsdevError `timeout` or `invalid_input`.
   */
  query<Row>(sql: string, params?: QueryParams): Promise<Row[]>;
  /** Runs an EXPLAIN, which reads no row, and returns its lines. */
  explain(sql: string): Promise<string[]>;
  /** Runs a SELECT that somebody outside wrote; of each table it sees the rows for which its filter holds. */
  queryWithin<Row>(sql: string, filters: Readonly<Record<string, string>>): Promise<Row[]>;
}
