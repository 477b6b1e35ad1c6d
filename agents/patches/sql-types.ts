// SqlTypes: what the app's own database says about a statement; the platform answers from a copy of that database.

/** Types of a statement as Postgres infers them, in the spelling of `format_type`. */
export interface StatementTypes {
  /** Type of `$1`, `$2`, …: `integer`, `bigint`, `uuid`, `text`, … */
  parameters: readonly string[];
  /** Result columns in order, with their type and the table column they come from, when they do. */
  columns: readonly { name: string; type: string }[];
  /** Columns that alone identify a row of the statement's table: single-column primary keys and unique constraints. */
  uniqueColumns: readonly string[];
}

/** Returns null when the statement cannot be prepared, for example because a table is missing. */
export type SqlTypes = (sql: string) => Promise<StatementTypes | null>;
