// SqlTypes of a Postgres database: asks the server itself, in a read-only transaction, without running anything of weight.
import pg from "pg";
import type { SqlTypes, StatementTypes } from "./sql-types.ts";

const statementName = "tsdev_types";
const limitMs = 2000;

/**
 * Types of single SELECT statements as the database at `url` infers them. Parameters are bound to NULL to learn the
 * result's columns, so an equality matches no row; the transaction is read only, limited in time and rolled back.
 */
export function postgresSqlTypes(url: string): SqlTypes {
  return async (sql) => {
    const client = new pg.Client({ connectionString: url, application_name: "tsdev sql types" });
    try {
      await client.connect();
      await client.query("BEGIN READ ONLY");
      await client.query(`SET LOCAL statement_timeout = ${limitMs}`);
      await client.query(`PREPARE ${statementName} AS ${sql}`);
      const parameters = await client.query<{ type: string }>(
        `SELECT format_type(t.oid, NULL) AS type FROM pg_prepared_statements s,
           unnest(s.parameter_types) WITH ORDINALITY AS p(type, position) JOIN pg_type t ON t.oid = p.type
         WHERE s.name = $1 ORDER BY p.position`,
        [statementName],
      );
      const result = await client.query(
        sql,
        parameters.rows.map(() => null),
      );
      const oids = [...new Set(result.fields.map((field) => field.dataTypeID))];
      const names = await client.query<{ oid: number; name: string }>(
        "SELECT oid::int8::int AS oid, format_type(oid, NULL) AS name FROM pg_type WHERE oid = ANY($1::oid[])",
        [oids],
      );
      const typeName = new Map(names.rows.map((row) => [Number(row.oid), row.name]));
      const tables = [...new Set(result.fields.map((field) => field.tableID).filter((id) => id !== 0))];
      const unique = await client.query<{ name: string }>(
        `SELECT DISTINCT a.attname AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL`,
        [tables],
      );
      const answer: StatementTypes = {
        parameters: parameters.rows.map((row) => row.type),
        columns: result.fields.map((field) => ({
          name: field.name,
          type: typeName.get(field.dataTypeID) ?? "unknown",
        })),
        uniqueColumns: unique.rows.map((row) => row.name),
      };
      return answer;
    } catch (error) {
      // the statement cannot be prepared here: the codemod then declines, which is what null means
      if (error instanceof pg.DatabaseError) return null;
      throw error;
    } finally {
      await client.query("ROLLBACK").catch(() => undefined);
      await client.end();
    }
  };
}
