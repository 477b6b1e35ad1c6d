// The store: the control plane's Postgres through Kysely, with its migrations applied.
import { Kysely, PostgresDialect } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import pg from "pg";
import { TsdevError } from "../../sdk/errors.ts";
import * as core from "./migrations/0001-core.ts";
import * as tokenExpiry from "./migrations/0002-token-expiry.ts";
import * as environmentTelemetry from "./migrations/0003-environment-telemetry.ts";
import type { DatabaseSchema } from "./schema.ts";

/** Every migration by its name, in order. A released one is never changed. */
const migrations: Record<string, Migration> = {
  "0001-core": core,
  "0002-token-expiry": tokenExpiry,
  "0003-environment-telemetry": environmentTelemetry,
};

export interface Store {
  db: Kysely<DatabaseSchema>;
  /** The address it was opened with. */
  url: string;
  close(): Promise<void>;
}

/**
 * Connects and brings the schema up to date. Two processes may do so at once: the migrator holds a lock in the database.
 * Throws `unavailable` when the server cannot be reached or a migration fails; a failed migration leaves no trace.
 */
export async function openStore(options: { url: string }): Promise<Store> {
  const pool = new pg.Pool({ connectionString: options.url, max: 20, connectionTimeoutMillis: 10_000 });
  // An idle connection that breaks (the server restarts) is replaced at the next query; without this it ends the process.
  pool.on("error", () => {});
  // The same for one that is in use: its query fails, which is enough.
  pool.on("connect", (client) => client.on("error", () => {}));
  let opened = false;
  const connect = () =>
    pool.connect().catch((cause: unknown) => {
      throw opened ? away(cause) : cause;
    });
  const db = new Kysely<DatabaseSchema>({
    dialect: new PostgresDialect({ pool: { options: pool.options, connect, end: () => pool.end() } }),
  });
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
  } catch (cause) {
    await db.destroy();
    if (TsdevError.is(cause)) throw cause;
    const { hostname, port, pathname } = new URL(options.url);
    throw new TsdevError("unavailable", {
      message: `the database ${hostname}:${port}${pathname} cannot be used: ${describe(cause)}`,
      fix: "check DATABASE_URL and that the server runs and lets this user create tables",
      cause,
    });
  }
  opened = true;
  return { db, url: options.url, close: () => db.destroy() };
}

/** The server went away after it had been there: whoever asks is told, and may ask again. */
function away(cause: unknown): TsdevError {
  return new TsdevError("unavailable", {
    message: `the platform's database is away: ${describe(cause)}`,
    fix: "try again in a moment; the platform's log says more",
    cause,
  });
}

function describe(cause: unknown): string {
  // A refused connection is an AggregateError (one error for each address) without a message.
  if (cause instanceof AggregateError) return cause.errors.map(describe).join("; ");
  return cause instanceof Error ? cause.message : String(cause);
}
