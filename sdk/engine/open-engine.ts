// Opens an engine: in memory, or durable on the app's Postgres.
import { devHost } from "../dev/host.ts";
import { TsdevError } from "../errors.ts";
import { createLog } from "../log.ts";
import { nearest } from "../nearest.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { MemoryStore } from "./memory-store.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { RunEngine } from "./run-engine.ts";

/**
 * Opens an engine. Throws `unavailable` when the database does not answer, `invalid_config` for what is no address of one.
 *
 * @example
 * const engine = await openEngine({ databaseUrl: process.env.DATABASE_URL });
 * const { receipt } = await engine.execute(orderProcessing, { orderId: "o1" });
 */
export function openEngine(options: EngineOptions = {}): Promise<Engine> {
  // Under `tsdev dev` an edit loads the app again; its runs go on in the engine that is there.
  return devHost()?.engine(options.databaseUrl, () => open(options)) ?? open(options);
}

const optionNames: Record<keyof EngineOptions, true> = {
  databaseUrl: true,
  leaseMs: true,
  closeMs: true,
  connections: true,
  maxRunning: true,
  maxQueued: true,
  retainDays: true,
  log: true,
};
/** What `pg` takes: an address, or the folder of a local server's socket. */
const addressOfPostgres = /^(?:postgres(?:ql)?:\/\/|socket:|\/)/i;

/** A slip in the database's name would leave runs in memory without a word. The address is not quoted: it has the password. */
function check(options: EngineOptions): void {
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(optionNames, key)) continue;
    throw new TsdevError("invalid_config", {
      message: `openEngine has no option "${key}"`,
      fix: `write ${nearest(key, Object.keys(optionNames))}, or leave it out`,
      path: key,
    });
  }
  if (!options.databaseUrl || addressOfPostgres.test(options.databaseUrl)) return;
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(options.databaseUrl)?.[0];
  throw new TsdevError("invalid_config", {
    message: `databaseUrl is no address of a Postgres database${scheme ? `: it begins with ${scheme}` : ""}`,
    fix: "give postgres://USER:PASSWORD@HOST:5432/DATABASE",
    path: "databaseUrl",
  });
}

async function open(options: EngineOptions): Promise<Engine> {
  check(options);
  const { databaseUrl, leaseMs = 10_000, closeMs = 10_000, connections = 4 } = options;
  const { maxRunning = 100, maxQueued = 100_000, retainDays = 30 } = options;
  const log = options.log ?? createLog({ component: "tsdev-engine" });
  if (!databaseUrl) log.info("workflow runs are in memory and end with this process; give databaseUrl to keep them");
  const store = databaseUrl
    ? await PostgresStore.open({ databaseUrl, leaseMs, connections })
    : new MemoryStore(leaseMs);
  return new RunEngine({ store, leaseMs, closeMs, maxRunning, maxQueued, retainDays, log });
}
