// Database copy: every row of the environment's database into a throw-away one, from one read-only snapshot.
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";

const quoted = pg.escapeIdentifier;

export interface TableColumns {
  schema: string;
  table: string;
  /** Stored columns that can be written, in order, with their types. */
  columns: { name: string; type: string }[];
}

export interface CopyResult {
  tables: number;
  rows: number;
  /** Sentences about what was not copied. */
  left: string[];
}

/** Tables with rows of their own, without the workflow engine's schema and without those of extensions. */
export async function listTables(client: pg.Client): Promise<TableColumns[]> {
  const { rows } = await client.query<TableColumns>(
    `SELECT n.nspname AS schema, c.relname AS table,
       coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
         FILTER (WHERE a.attname IS NOT NULL), '[]') AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relkind = 'r' AND c.relpersistence <> 't'
       AND n.nspname <> ALL (ARRAY['pg_catalog', 'information_schema', 'tsdev']) AND n.nspname NOT LIKE 'pg\\_%'
       AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname`,
  );
  return rows;
}

const tableName = (table: TableColumns): string => `${quoted(table.schema)}.${quoted(table.table)}`;

/** Extensions that the source has and the target lacks: the app's own role may not be allowed to make them. */
export async function copyExtensions(source: pg.Client, target: pg.Client): Promise<string[]> {
  const read =
    "SELECT e.extname AS name, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace";
  const [wanted, present] = await Promise.all([
    source.query<{ name: string; schema: string }>(read),
    target.query<{ name: string }>(read),
  ]);
  const have = new Set(present.rows.map((row) => row.name));
  const left: string[] = [];
  for (const { name, schema } of wanted.rows) {
    if (have.has(name)) continue;
    try {
      await target.query(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`);
      await target.query(`CREATE EXTENSION IF NOT EXISTS ${quoted(name)} SCHEMA ${quoted(schema)}`);
    } catch (error) {
      left.push(`extension ${name} could not be made in the copy: ${message(error)}`);
    }
  }
  return left;
}

/**
 * Replaces all rows of `target` by those of `source`, as one REPEATABLE READ READ ONLY transaction sees them, and sets
 * the sequences. `source` is only read, under the weakest lock there is. Both have the same tables already.
 */
export async function copyRows(source: pg.Client, target: pg.Client, signal: AbortSignal): Promise<CopyResult> {
  const left: string[] = [];
  let copied = 0;
  let count = 0;
  await source.query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    // A migration that holds a table makes the proof wait; it is not to queue behind it for long.
    await source.query("SET LOCAL lock_timeout = '3s'");
    const [theirs, ours] = await Promise.all([listTables(source), listTables(target)]);
    await target.query("SET session_replication_role = replica");
    if (ours.length > 0) await target.query(`TRUNCATE ${ours.map(tableName).join(", ")} CASCADE`);
    const known = new Map(ours.map((table) => [tableName(table), table]));
    for (const table of theirs) {
      signal.throwIfAborted();
      const name = tableName(table);
      const twin = known.get(name);
      if (twin === undefined) {
        left.push(`table ${table.schema}.${table.table} is not made by the app's own start; its rows were not copied`);
        continue;
      }
      const types = new Map(twin.columns.map((column) => [column.name, column.type]));
      const odd = table.columns.filter((column) => types.get(column.name) !== column.type);
      if (odd.length > 0) {
        const names = odd.map((column) => column.name).join(", ");
        left.push(`table ${table.schema}.${table.table} differs from what the app's start makes in: ${names}`);
      }
      const columns = table.columns.filter((column) => types.get(column.name) === column.type);
      if (columns.length === 0) continue;
      const list = columns.map((column) => quoted(column.name)).join(", ");
      const into = target.query(copyFrom(`COPY ${name} (${list}) FROM STDIN (FORMAT binary)`));
      await pipeline(source.query(copyTo(`COPY ${name} (${list}) TO STDOUT (FORMAT binary)`)), into, { signal });
      copied += 1;
      count += into.rowCount ?? 0;
    }
    await copySequences(source, target);
    await refreshViews(target);
  } finally {
    await source.query("ROLLBACK").catch(() => {});
    await target.query("RESET session_replication_role").catch(() => {});
  }
  await target.query("ANALYZE");
  return { tables: copied, rows: count, left };
}

async function copySequences(source: pg.Client, target: pg.Client): Promise<void> {
  const { rows } = await source.query<{ schema: string; name: string; value: string | null; start: string }>(
    `SELECT schemaname AS schema, sequencename AS name, last_value AS value, start_value AS start
     FROM pg_sequences WHERE schemaname <> 'tsdev'`,
  );
  await target.query(
    `SELECT setval(s.oid::regclass, coalesce(v.value, v.start), v.value IS NOT NULL)
     FROM json_to_recordset($1) AS v(schema text, name text, value bigint, start bigint)
     JOIN pg_namespace n ON n.nspname = v.schema
     JOIN pg_class s ON s.relnamespace = n.oid AND s.relname = v.name AND s.relkind = 'S'`,
    [JSON.stringify(rows)],
  );
}

async function refreshViews(target: pg.Client): Promise<void> {
  const { rows } = await target.query<{ name: string }>(
    "SELECT format('%I.%I', schemaname, matviewname) AS name FROM pg_matviews WHERE ispopulated AND schemaname <> 'tsdev'",
  );
  for (const { name } of rows) await target.query(`REFRESH MATERIALIZED VIEW ${name}`);
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
