// Stores: opens the state, the telemetry and the queue, each embedded or at the address that the environment gives.
import type { DataDirectory } from "./platform/control-plane/data-directory.ts";
import { openQueue } from "./platform/queue/bullmq-queue.ts";
import type { Queue } from "./platform/queue/queue.ts";
import { openEmbeddedPostgres } from "./platform/store/embedded-postgres.ts";
import { keepPostgres } from "./platform/store/keep-postgres.ts";
import { openStore, type Store } from "./platform/store/store.ts";
import { openTelemetryStore, type TelemetryStore } from "./platform/telemetry/clickhouse.ts";
import { schemaOptionsOf } from "./platform/telemetry/schema/options.ts";

/** Undoes one thing that a start has done. */
export type Undo = () => Promise<unknown>;

export interface Stores {
  store: Store;
  telemetry: TelemetryStore;
  queue: Queue;
  /** Superuser address of the Postgres server, where databases of apps and proofs are made. */
  adminUrl: string;
  /** Closes all but the queue, which stops first; with `all` the embedded server ends too. */
  close(options: { all: boolean }): Promise<void>;
}

/** Opens all three; what was opened when a later one fails is in `undo`. */
export async function openStores(directory: DataDirectory, env: NodeJS.ProcessEnv, undo: Undo[]): Promise<Stores> {
  const schema = schemaOptionsOf(env);
  const postgres = env.DATABASE_URL
    ? { url: env.DATABASE_URL, adminUrl: env.DATABASE_URL, started: false, stop: async () => undefined }
    : await openEmbeddedPostgres({ directory: directory.join("postgres") });
  if (postgres.started) undo.push(() => postgres.stop());
  const kept = env.DATABASE_URL
    ? undefined
    : keepPostgres({ directory: directory.join("postgres"), log: console.error });
  undo.push(async () => kept?.close());
  const [store, telemetry] = await Promise.all([
    openStore({ url: postgres.url }),
    openTelemetryStore(
      { directory: directory.join("clickhouse"), clickhouseUrl: env.CLICKHOUSE_URL },
      { schema, spool: { sync: schema.fsyncAfterInsert ?? false } },
    ),
  ]);
  undo.push(
    () => store.close(),
    () => telemetry.close(),
  );
  const queue = await openQueue(env.REDIS_URL ? { redisUrl: env.REDIS_URL } : { postgresUrl: postgres.url });
  undo.push(() => queue.close());
  return {
    store,
    telemetry,
    queue,
    adminUrl: postgres.adminUrl,
    close: async ({ all }) => {
      await telemetry.close();
      await store.close();
      await kept?.close();
      if (all) await postgres.stop();
    },
  };
}
