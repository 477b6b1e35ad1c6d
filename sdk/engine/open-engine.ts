// Opens an engine: in memory, or durable on the app's Postgres.
import { devHost } from "../dev/host.ts";
import { createLog } from "../log.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { MemoryStore } from "./memory-store.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { RunEngine } from "./run-engine.ts";

/**
 * Opens an engine. Throws `unavailable` when the database does not answer.
 *
 * @example
 * const engine = await openEngine({ databaseUrl: process.env.DATABASE_URL });
 * const { receipt } = await engine.execute(orderProcessing, { orderId: "o1" });
 */
export function openEngine(options: EngineOptions = {}): Promise<Engine> {
  // Under `tsdev dev` an edit loads the app again; its runs go on in the engine that is there.
  return devHost()?.engine(options.databaseUrl, () => open(options)) ?? open(options);
}

async function open(options: EngineOptions): Promise<Engine> {
  const { databaseUrl, leaseMs = 10_000, closeMs = 10_000, connections = 4 } = options;
  const { maxRunning = 100, maxQueued = 100_000, retainDays = 30 } = options;
  const log = options.log ?? createLog({ component: "tsdev-engine" });
  if (!databaseUrl) log.info("workflow runs are in memory and end with this process; give databaseUrl to keep them");
  const store = databaseUrl
    ? await PostgresStore.open({ databaseUrl, leaseMs, connections })
    : new MemoryStore(leaseMs);
  return new RunEngine({ store, leaseMs, closeMs, maxRunning, maxQueued, retainDays, log });
}
