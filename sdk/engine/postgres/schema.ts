// Schema: the engine's two tables in the app's Postgres, made and migrated by the engine itself.
import type { Pool } from "pg";

/** Numbered by position, never edited: a change is a new entry. */
const migrations: readonly string[] = [
  // json and not jsonb: the text is kept as it was, key order and \u0000 included, and it is cheaper to write.
  `CREATE TABLE tsdev.runs (
     id text PRIMARY KEY,
     workflow text NOT NULL,
     version text NOT NULL,
     ir json NOT NULL,
     input json NOT NULL,
     scope json NOT NULL,
     input_digest text NOT NULL,
     traceparent text,
     state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
     owner text NOT NULL,
     lease_epoch int NOT NULL DEFAULT 1,
     lease_until timestamptz NOT NULL,
     started_at timestamptz NOT NULL DEFAULT now(),
     finished_at timestamptz,
     output json,
     error json
   );
   CREATE INDEX runs_unfinished ON tsdev.runs (lease_until) WHERE state = 'running';
   CREATE TABLE tsdev.steps (
     run_id text NOT NULL REFERENCES tsdev.runs (id) ON DELETE CASCADE,
     node text NOT NULL,
     epoch int NOT NULL,
     output json NOT NULL,
     finished_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (run_id, node)
   );`,
];

/** Any number that no one else in the app's database is likely to lock. */
const lockKey = 7_238_116_001;

/** Brings the schema up to date; safe to call from many processes at once. */
export async function migrate(pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock($1)", [lockKey]);
    await client.query("CREATE SCHEMA IF NOT EXISTS tsdev");
    await client.query("CREATE TABLE IF NOT EXISTS tsdev.migrations (number int PRIMARY KEY)");
    const { rows } = await client.query<{ done: number }>("SELECT count(*)::int AS done FROM tsdev.migrations");
    const done = rows[0]?.done ?? 0;
    for (const [offset, statements] of migrations.slice(done).entries()) {
      await client.query(statements);
      await client.query("INSERT INTO tsdev.migrations (number) VALUES ($1)", [done + offset + 1]);
    }
    await client.query("COMMIT");
    client.release();
  } catch (error) {
    client.release(error instanceof Error ? error : true);
    throw error;
  }
}
