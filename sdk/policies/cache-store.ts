// Cache store: where cached outputs are kept. In this process unless the app gives a shared one, such as Redis.
import { LRUCache } from "lru-cache";

export interface CachedOutput {
  readonly output: unknown;
  /** How much longer it is kept, milliseconds. */
  readonly leftMs: number;
}

/**
 * What a shared cache must do. Outputs are what procedures return, so `Date`, `Map`, `Set` and `bigint` are among them. A
 * store that throws is a miss, and is told of in the log; it never fails a call.
 */
export interface CacheStore {
  /** A value that the caller may change without changing what is kept. Undefined: there is none. */
  get(key: string): CachedOutput | undefined | Promise<CachedOutput | undefined>;
  /** Takes its copy of the output before it returns, and keeps it for `keepMs`. */
  set(key: string, output: unknown, keepMs: number): void | Promise<void>;
}

/** Outputs that one procedure or step has in this process; beyond it the one that was not asked for the longest goes. */
export const maxOutputs = 1_000;

/** The outputs of one procedure or step in this process. Throws what `structuredClone` throws. */
export class MemoryCacheStore implements CacheStore {
  readonly #kept: LRUCache<string, { readonly output: unknown }>;

  constructor(max = maxOutputs) {
    // Each look at the clock, so that a limit of a millisecond is one. It is a clock that does not go back.
    this.#kept = new LRUCache({ max, ttlResolution: 0 });
  }

  get(key: string): CachedOutput | undefined {
    const kept = this.#kept.get(key);
    return kept && { output: structuredClone(kept.output), leftMs: this.#kept.getRemainingTTL(key) };
  }

  set(key: string, output: unknown, keepMs: number): void {
    this.#kept.set(key, { output: structuredClone(output) }, { ttl: keepMs });
  }
}

let shared: CacheStore | undefined;

/**
 * Lets every cache policy of this process keep its outputs in `store`, for all instances of the app. Undefined goes back
 * to one memory for each procedure and step. Single flight stays per process.
 *
 * @example
 * shareCache((await redisPolicies({ prefix: "shop", connection: { host: "redis" } })).cache);
 */
export function shareCache(store: CacheStore | undefined): void {
  shared = store;
}

/** The store that the app has given, if it has. */
export function sharedCache(): CacheStore | undefined {
  return shared;
}
