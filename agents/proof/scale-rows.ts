// Scale rows: makes a copy of the database some times larger, each copy of a row referring to copies of the same number.
import pg from "pg";

const quoted = pg.escapeIdentifier;

interface Column {
  name: string;
  type: string;
  generated: boolean;
}

interface Table {
  oid: number;
  /** Quoted, with its schema. */
  name: string;
  label: string;
  columns: Column[];
  primary: string[];
  unique: string[][];
  references: { columns: string[]; target: number; targetColumns: string[] }[];
}

export interface ScaleResult {
  tables: number;
  rows: number;
  /** Sentences about tables that kept their size. */
  left: string[];
}

/** Tables in which tools count the migrations they ran: a second row would be a migration that is missing. */
const migrationTable = /migrat|schema_(version|history)|flyway|knex|drizzle|prisma/i;

/**
 * Multiplies the rows of every table by `times`, in the database that `client` is connected to as superuser.
 * Integer keys are shifted past the largest one, UUIDs are hashed with the copy's number, text gets a suffix; a foreign
 * key is changed in the way of the column that it refers to. A table where that breaks a rule keeps its size.
 */
export async function scaleRows(client: pg.Client, times: number, signal: AbortSignal): Promise<ScaleResult> {
  const tables = await readTables(client);
  const left: string[] = [];
  const scaled = new Map<string, (column: string, copy: string) => string>();
  let done = 0;
  let rows = 0;
  await client.query("BEGIN");
  await client.query("SET LOCAL session_replication_role = replica");
  for (const table of parentsFirst(tables)) {
    signal.throwIfAborted();
    if (migrationTable.test(table.label)) continue;
    await client.query("SAVEPOINT scale");
    try {
      const added = await scaleTable(client, table, times, scaled);
      if (added > 0) done += 1;
      rows += added;
    } catch (error) {
      await client.query("ROLLBACK TO scale");
      for (const column of table.columns) scaled.delete(`${table.oid}.${column.name}`);
      left.push(`${table.label} could not be multiplied: ${error instanceof Error ? error.message : String(error)}`);
    }
    await client.query("RELEASE scale");
  }
  await client.query("COMMIT");
  await moveSequences(client);
  await client.query("ANALYZE");
  return { tables: done, rows, left };
}

async function scaleTable(
  client: pg.Client,
  table: Table,
  times: number,
  scaled: Map<string, (column: string, copy: string) => string>,
): Promise<number> {
  const changed = new Map<string, string>();
  for (const reference of table.references) {
    reference.columns.forEach((name, index) => {
      const own = reference.target === table.oid;
      const change = scaled.get(`${reference.target}.${reference.targetColumns[index]}`);
      if (change !== undefined) changed.set(name, change(quoted(name), "copy.number"));
      else if (own && !table.primary.includes(name)) changed.set(name, "");
    });
  }
  const keys = [table.primary, ...table.unique].filter((key) => key.length > 0);
  for (const key of keys) {
    if (key.some((name) => changed.get(name) !== undefined && changed.get(name) !== "")) continue;
    const name = key.find((candidate) => changeable(table.columns.find((column) => column.name === candidate)?.type));
    if (name === undefined) throw new Error(`no integer, uuid or text column in the key (${key.join(", ")})`);
    const column = table.columns.find((candidate) => candidate.name === name)!;
    const change = await changeOf(client, table, column, times);
    changed.set(name, change(quoted(name), "copy.number"));
    scaled.set(`${table.oid}.${name}`, change);
  }
  // A reference into the same table follows its own key.
  for (const reference of table.references.filter(({ target }) => target === table.oid)) {
    reference.columns.forEach((name, index) => {
      const change = scaled.get(`${table.oid}.${reference.targetColumns[index]}`);
      if (change === undefined) changed.delete(name);
      else if (!table.primary.includes(name)) changed.set(name, change(quoted(name), "copy.number"));
    });
  }
  // Columns of a key that follow a reference are themselves referred to in that way.
  for (const reference of table.references) {
    reference.columns.forEach((name, index) => {
      const change = scaled.get(`${reference.target}.${reference.targetColumns[index]}`);
      if (change !== undefined) scaled.set(`${table.oid}.${name}`, change);
    });
  }
  const writable = table.columns.filter((column) => !column.generated);
  const list = writable.map((column) => quoted(column.name)).join(", ");
  const values = writable.map((column) => changed.get(column.name) || quoted(column.name)).join(", ");
  const { rowCount } = await client.query(
    `INSERT INTO ${table.name} (${list}) OVERRIDING SYSTEM VALUE
     SELECT ${values} FROM ${table.name} CROSS JOIN generate_series(1, ${times - 1}) AS copy (number)`,
  );
  return rowCount ?? 0;
}

const integerLimits: Record<string, bigint> = {
  smallint: 32_767n,
  integer: 2_147_483_647n,
  bigint: 9_223_372_036_854_775_807n,
};

function changeable(type: string | undefined): boolean {
  return type !== undefined && (type in integerLimits || type === "uuid" || isText(type));
}

const isText = (type: string): boolean => /^(text|character varying|citext)/.test(type);

/** How a copy's value of a column follows from the original's. */
async function changeOf(
  client: pg.Client,
  table: Table,
  column: Column,
  times: number,
): Promise<(column: string, copy: string) => string> {
  if (column.type === "uuid") return (name, copy) => `md5(${name}::text || '/' || ${copy})::uuid`;
  if (isText(column.type)) return (name, copy) => `${name} || '~' || ${copy}`;
  const { rows } = await client.query<{ low: string; high: string }>(
    `SELECT coalesce(min(${quoted(column.name)}), 0)::text AS low, coalesce(max(${quoted(column.name)}), 0)::text AS high
     FROM ${table.name}`,
  );
  const low = BigInt(rows[0]!.low);
  const high = BigInt(rows[0]!.high);
  const span = high - low + 1n;
  if (high + span * BigInt(times - 1) > integerLimits[column.type]!) {
    throw new Error(`${column.name} would pass the largest ${column.type}`);
  }
  return (name, copy) => `(${name} + ${copy}::bigint * ${span})::${column.type}`;
}

function parentsFirst(tables: readonly Table[]): Table[] {
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  const ordered = new Set<Table>();
  const open = new Set<Table>();
  const visit = (table: Table) => {
    if (ordered.has(table) || open.has(table)) return;
    open.add(table);
    for (const { target } of table.references) {
      const parent = byOid.get(target);
      if (parent !== undefined) visit(parent);
    }
    ordered.add(table);
  };
  for (const table of tables) visit(table);
  return [...ordered];
}

async function readTables(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `SELECT c.oid::int8::int AS oid, format('%I.%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS label,
       (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL),
            'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]')
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_index i
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
          WHERE i.indrelid = c.oid AND i.indisprimary) AS primary,
       (SELECT coalesce(json_agg(k.columns), '[]') FROM (
          SELECT json_agg(a.attname) AS columns FROM pg_index i
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
          WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary GROUP BY i.indexrelid) AS k) AS unique,
       (SELECT coalesce(json_agg(json_build_object('target', k.confrelid::int8::int,
            'columns', (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number),
            'targetColumns', (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place)
               JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number))), '[]')
          FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') AS "references"
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't'
       AND n.nspname <> ALL (ARRAY['pg_catalog', 'information_schema', 'tsdev', 'drizzle']) AND n.nspname NOT LIKE 'pg\\_%'
     ORDER BY n.nspname, c.relname`,
  );
  return rows;
}

/** Columns with a sequence go on after the copies. */
async function moveSequences(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ sequence: string; name: string; column: string }>(
    `SELECT s.oid::regclass::text AS sequence, format('%I.%I', n.nspname, c.relname) AS name, a.attname AS column
     FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
     JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
       AND n.nspname NOT IN ('tsdev', 'drizzle')`,
  );
  for (const { sequence, name, column } of rows) {
    await client.query(
      `SELECT setval($1::regclass, (SELECT max(${quoted(column)}) FROM ${name}))
       WHERE EXISTS (SELECT 1 FROM ${name} WHERE ${quoted(column)} IS NOT NULL)`,
      [sequence],
    );
  }
}
