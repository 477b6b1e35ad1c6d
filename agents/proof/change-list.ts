// Change list: the rows that one request inserted, updated and deleted, read from the write-ahead log by logical decoding.
import type pg from "pg";

/** One change of one row, as `test_decoding` prints it. */
export interface RowChange {
  table: string;
  /** The row's primary key as text; empty where the table has none. */
  key: string;
  /** `INSERT: id[integer]:1 name[text]:'x'` */
  text: string;
}

export interface ChangeList {
  /** What was committed since the last call, in commit order, without the workflow engine's own tables. */
  read(): Promise<RowChange[]>;
  /** Last value of every sequence of the app. */
  sequences(): Promise<Map<string, string>>;
}

const slot = "proof_changes";
const column = /("(?:[^"]|"")+"|[^\s"[\]]+)\[((?:[^[\]]|\[\])+)\]:((?:B)?'(?:[^']|'')*'|\S+)/g;

/**
 * Opens the list on the database that `client` is connected to. The slot is temporary: it ends with the client.
 * Throws where the server has no `wal_level = logical` or no free slot.
 */
export async function openChangeList(client: pg.Client, slotName: string = slot): Promise<ChangeList> {
  // A slot waits for every transaction of the server that is open now; a long one is not worth a hanging proof.
  await client.query("SET statement_timeout = '15s'");
  await client.query("SELECT pg_create_logical_replication_slot($1, 'test_decoding', true)", [slotName]);
  const keys = await primaryKeys(client);
  return {
    async read() {
      const { rows } = await client.query<{ data: string }>(
        "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'include-xids', '0', 'skip-empty-xacts', '1')",
        [slotName],
      );
      const changes: RowChange[] = [];
      for (const { data } of rows) {
        const found = parseChange(data, keys);
        if (found !== null) changes.push(found);
      }
      return changes;
    },
    async sequences() {
      const { rows } = await client.query<{ name: string; value: string | null }>(
        `SELECT schemaname || '.' || sequencename AS name, last_value::text AS value
         FROM pg_sequences WHERE schemaname <> 'tsdev'`,
      );
      return new Map(rows.map((row) => [row.name, row.value ?? "unused"]));
    },
  };
}

/** Null for transaction marks and for the workflow engine's tables. */
export function parseChange(line: string, keys: ReadonlyMap<string, readonly string[]>): RowChange | null {
  const match = /^table ((?:"(?:[^"]|"")+"|[^\s".]+)\.(?:"(?:[^"]|"")+"|[^\s":]+)): ([\s\S]*)$/.exec(line);
  if (match === null) return null;
  const table = match[1]!;
  const text = match[2]!;
  if (table.startsWith("tsdev.")) return null;
  const names = new Set(keys.get(table) ?? []);
  // An update that changes the key says the old one first: the row is the old one.
  const tuple = text.replace(/^[A-Z]+: (?:old-key: )?/, "");
  const found = new Map<string, string>();
  for (const [, name, , value] of tuple.matchAll(column)) {
    if (names.has(name!) && !found.has(name!)) found.set(name!, value!);
  }
  return { table, key: [...found].map(([name, value]) => `${name}=${value}`).join(","), text };
}

async function primaryKeys(client: pg.Client): Promise<Map<string, string[]>> {
  const { rows } = await client.query<{ name: string; columns: string[] }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name, array_agg(quote_ident(a.attname)) AS columns
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
     WHERE i.indisprimary GROUP BY 1`,
  );
  return new Map(rows.map((row) => [row.name, row.columns]));
}
