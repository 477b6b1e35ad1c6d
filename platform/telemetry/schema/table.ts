// Tables and views as descriptions, from which the statements for every kind of ClickHouse are made.

export interface Column {
  name: string;
  type: string;
  codec?: string;
  default?: string;
  /** Computed when a row is stored; an INSERT does not name it, and `SELECT *` leaves it out. */
  materialized?: string;
}

export interface Index {
  name: string;
  expression: string;
  type: string;
  /** How many granules one entry of the index covers. */
  granularity: number;
}

export interface Table {
  name: string;
  engine: "MergeTree" | "ReplacingMergeTree" | "AggregatingMergeTree";
  columns: readonly Column[];
  indexes: readonly Index[];
  partitionBy?: string;
  primaryKey?: string;
  orderBy: string;
  ttl?: string;
  /** Rows come by an insert with a token, and the same token must store once. */
  deduplicates: boolean;
}

/** A view that writes what it selects of every insert into a table. */
export interface View {
  name: string;
  to: string;
  select: string;
}

const defaultCodec = "ZSTD(1)";

/** A column with the usual codec; a name with a dot is part of what ClickHouse calls Nested. */
export function column(name: string, type: string, parts: Omit<Column, "name" | "type"> = {}): Column {
  return { name, type, codec: defaultCodec, ...parts };
}

export function index(name: string, expression: string, type: string, granularity = 1): Index {
  return { name, expression, type, granularity };
}
