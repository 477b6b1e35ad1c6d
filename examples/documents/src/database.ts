// The app's tables, and the pool that its procedures share.
import { createLog } from "@tsdev/sdk";
import pg from "pg";
import { settings } from "./settings.ts";

/** A `date` column is a day, not a moment. */
pg.types.setTypeParser(pg.types.builtins.DATE, (day) => day);

export const pool = new pg.Pool({ connectionString: settings.databaseUrl, max: 10 });
// An idle connection that breaks, as when the database restarts, must not end the process: the pool makes another.
pool.on("error", (error) => createLog({ component: "database" }).warn("a connection broke", { error }));

/** Makes what is missing. Instances that start together wait for each other by the lock. */
export async function migrate(): Promise<void> {
  if (!settings.databaseUrl) {
    throw new Error(
      "DATABASE_URL is not set. This app needs a Postgres database that it may fill, for example " +
        '"docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=documents postgres:18" and ' +
        "DATABASE_URL=postgres://postgres:documents@localhost:5432/postgres",
    );
  }
  await pool.query(`
    BEGIN;
    SELECT pg_advisory_xact_lock(4020);
    CREATE TABLE IF NOT EXISTS documents (
      id text PRIMARY KEY,
      owner text NOT NULL,
      title text NOT NULL,
      text text NOT NULL,
      kind text CHECK (kind IN ('invoice', 'contract')),
      archive_reference text,
      received_at timestamptz NOT NULL DEFAULT now(),
      archived_at timestamptz
    );
    CREATE TABLE IF NOT EXISTS storage_reservations (
      document_id text PRIMARY KEY REFERENCES documents,
      bytes integer NOT NULL
    );
    CREATE TABLE IF NOT EXISTS reminders (
      document_id text PRIMARY KEY REFERENCES documents,
      due date NOT NULL
    );
    CREATE TABLE IF NOT EXISTS digests (
      at timestamptz PRIMARY KEY,
      received integer NOT NULL,
      archived integer NOT NULL
    );
    COMMIT;
  `);
}
