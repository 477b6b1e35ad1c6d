// Rate limiter: how many calls may begin within a time, per key and process.
import { performance } from "node:perf_hooks";
import { LRUCache } from "lru-cache";
import { TsdevError } from "../errors.ts";
import type { RateLimitIr } from "../ir/ir.ts";

/** Keys that one limiter knows; beyond it the one that was not asked for the longest is forgotten, and begins anew. */
const maxKeys = 10_000;

/** `waitMs`: until a place is there. */
export function refused(what: string, { limit, perMs }: RateLimitIr, waitMs: number): TsdevError {
  return new TsdevError("rate_limited", {
    message: `${what} may be called ${limit} times within ${perMs} ms`,
    fix: `try again in ${waitMs} ms`,
    retryAfterMs: waitMs,
  });
}

/**
 * A token bucket per key: `limit` calls may begin at once, and the places come back evenly over `perMs`. It is kept as the
 * one time at which the bucket is full again (GCRA, ITU-T I.371), so that a key costs a number and no timer.
 */
export class RateLimiter {
  readonly #what: string;
  readonly #options: RateLimitIr;
  readonly #everyMs: number;
  readonly #now: () => number;
  readonly #fullAt = new LRUCache<string, number>({ max: maxKeys });

  /** The clock must not go back: milliseconds. */
  constructor(what: string, options: RateLimitIr, now: () => number = () => performance.now()) {
    this.#what = what;
    this.#options = options;
    this.#everyMs = options.perMs / options.limit;
    this.#now = now;
  }

  /** Takes a place, or throws `rate_limited` with `retryAfterMs`. A refused call takes none. */
  admit(key: string): void {
    const now = this.#now();
    const waitMs = this.#waitMs(key, now);
    if (waitMs > 0) throw refused(this.#what, this.#options, Math.ceil(waitMs));
    this.#take(key, now);
  }

  /** Takes the next place, and answers after how many milliseconds it begins. */
  reserve(key: string): number {
    const now = this.#now();
    const waitMs = this.#waitMs(key, now);
    this.#take(key, now);
    return Math.ceil(waitMs);
  }

  #waitMs(key: string, now: number): number {
    // The bucket holds `perMs` of places; one place must be left. Rounding must not refuse the last one.
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now);
    const waitMs = fullAt + this.#everyMs - this.#options.perMs - now;
    return waitMs > 1e-6 ? waitMs : 0;
  }

  #take(key: string, now: number): void {
    this.#fullAt.set(key, Math.max(this.#fullAt.get(key) ?? now, now) + this.#everyMs);
  }
}
