// Host: what an app finds in its process while `tsdev dev` runs it. Elsewhere there is none, and nothing here does anything.
import type { Engine } from "../engine/engine.ts";
import { callerOf } from "../source-location.ts";

export interface DevHost {
  keep<T>(name: string, make: () => T): T;
  /** The engine of this database, or the one in memory: opened once, and told of newer definitions. */
  engine(databaseUrl: string | undefined, open: () => Promise<Engine>): Promise<Engine>;
  /** `owner` is the file that `undo` goes with; without one it goes with the entry, which every reload replaces. */
  onReload(owner: string | undefined, undo: () => unknown): void;
}

const key = Symbol.for("tsdev.dev");

/** By a symbol, so that the app's copy of the SDK and that of the command find each other. */
export function devHost(): DevHost | undefined {
  return (globalThis as { [key]?: DevHost })[key];
}

export function installDevHost(host: DevHost): void {
  Object.defineProperty(globalThis, key, { value: host, configurable: true });
}

/**
 * What `make` returns, made once for the life of the process: a pool or a cache that a reload must not double. The value
 * of the first call stays until `tsdev dev` is started again; one whose making failed is made anew. Outside of
 * `tsdev dev` it is `make()`.
 *
 * @example
 * export const pool = keep("pool", () => new pg.Pool({ connectionString: process.env.DATABASE_URL }));
 */
export function keep<T>(name: string, make: () => T): T {
  return devHost()?.keep(name, make) ?? make();
}

/**
 * Ends what the module that calls it has begun (a timer, a listener) once newer code stands in its place. Outside of
 * `tsdev dev` it does nothing.
 *
 * @example
 * const timer = setInterval(refresh, 60_000);
 * onReload(() => clearInterval(timer));
 */
export function onReload(undo: () => unknown): void {
  devHost()?.onReload(callerOf(onReload)?.file, undo);
}
