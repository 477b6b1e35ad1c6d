// Postgres SQL types: answers `SqlTypes` from the app's database, where no row is read and nothing of the app's runs.
import { loadModule, parseSync } from "libpg-query";
import pg from "pg";
import type { SqlTypes } from "./sql-types.ts";

/** What is needed of a `pg` client: one session, not a pool, because a prepared name belongs to the session. */
export interface SqlClient {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[]; fields?: unknown }>;
}

/** How long one answer may take, in milliseconds. */
const limitMs = 2_000;

/** The database at `url`, by a connection for each statement: questions are few and minutes apart. */
export function postgresSqlTypes(url: string): SqlTypes {
  return async (sql) => {
    const client = new pg.Client({
      connectionString: url,
      application_name: "tsdev sql types",
      statement_timeout: limitMs,
      connectionTimeoutMillis: limitMs,
    });
    try {
      await client.connect();
      return await sessionSqlTypes(client)(sql);
    } finally {
      await client.end();
    }
  };
}

interface Field {
  name: string;
  tableID: number;
  dataTypeID: number;
}

/**
 * Asks Postgres what it infers: it prepares the statement inside `SELECT * FROM (…) LIMIT 0`, which keeps the types of
 * its parameters and columns and reads no row. Null for anything but one SELECT that can be prepared.
 */
export function sessionSqlTypes(client: SqlClient): SqlTypes {
  let number = 0;
  return async (sql) => {
    await loadModule();
    const text = sql.trim().replace(/;\s*$/, "");
    if (!isOneSelect(text)) return null;
    const name = `tsdev_types_${++number}`;
    try {
      // A line of its own for the parenthesis: the text may end in a comment.
      await client.query(`PREPARE ${name} AS SELECT * FROM (${text}\n) AS t LIMIT 0`);
    } catch {
      return null;
    }
    try {
      const prepared = await client.query(
        "SELECT parameter_types::oid[]::int[] AS parameters FROM pg_prepared_statements WHERE name = $1",
        [name],
      );
      const parameters = (prepared.rows[0]?.parameters ?? []) as number[];
      const nulls = parameters.length === 0 ? "" : `(${parameters.map(() => "NULL").join(", ")})`;
      const { fields } = await client.query(`EXECUTE ${name}${nulls}`);
      const described = (fields ?? []) as Field[];
      const names = await typeNames(client, [...parameters, ...described.map((field) => field.dataTypeID)]);
      return {
        parameters: names.slice(0, parameters.length),
        columns: described.map((field, index) => ({ name: field.name, type: names[parameters.length + index] ?? "" })),
        uniqueColumns: await uniqueColumns(client, described),
      };
    } finally {
      await client.query(`DEALLOCATE ${name}`);
    }
  };
}

/** PREPARE takes one statement, but the text could hold a second one behind it. */
function isOneSelect(text: string): boolean {
  try {
    const { stmts = [] } = parseSync(text) as { stmts?: { stmt?: object }[] };
    return stmts.length === 1 && stmts[0]?.stmt !== undefined && "SelectStmt" in stmts[0].stmt;
  } catch {
    return false;
  }
}

async function typeNames(client: SqlClient, oids: readonly number[]): Promise<string[]> {
  const { rows } = await client.query(
    "SELECT format_type(oid, NULL) AS name FROM unnest($1::oid[]) WITH ORDINALITY AS t (oid, at) ORDER BY at",
    [oids],
  );
  return rows.map((row) => String(row.name));
}

/** Names, as the table has them, of columns that alone are unique; only for a statement of one table. */
async function uniqueColumns(client: SqlClient, fields: readonly Field[]): Promise<string[]> {
  const tables = [...new Set(fields.map((field) => field.tableID).filter((table) => table > 0))];
  if (tables.length !== 1) return [];
  const { rows } = await client.query(
    `SELECT DISTINCT a.attname AS name FROM pg_index i
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indimmediate
       AND i.indpred IS NULL AND i.indexprs IS NULL`,
    [tables[0]],
  );
  return rows.map((row) => String(row.name));
}
