// Shared rate limiter: a limit that all instances count together where there is a store, else this process by itself.
import type { RateLimitIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import { sharedLimits } from "./limit-store.ts";
import { RateLimiter, refused } from "./rate-limiter.ts";

const log = createLog({ component: "tsdev-rate-limit" });

export class SharedRateLimiter {
  readonly #what: string;
  readonly #space: string;
  readonly #options: RateLimitIr;
  /** Of this process: where there is no store, and while it is away. */
  readonly #own: RateLimiter;
  #away = false;

  /** `space` sets the keys of this limit apart within a store that others share. */
  constructor(what: string, space: string, options: RateLimitIr) {
    this.#what = what;
    this.#space = space;
    this.#options = options;
    this.#own = new RateLimiter(what, options);
  }

  /** Takes a place, or throws `rate_limited` with `retryAfterMs`. A refused call takes none. */
  async admit(key: string): Promise<void> {
    const waitMs = await this.#take(key, false);
    if (waitMs === undefined) return this.#own.admit(key);
    if (waitMs > 0) throw refused(this.#what, this.#options, waitMs);
  }

  /** Takes the next place, and answers after how many milliseconds it begins. */
  async reserve(key: string): Promise<number> {
    return (await this.#take(key, true)) ?? this.#own.reserve(key);
  }

  /** Undefined: this process counts. */
  async #take(key: string, reserve: boolean): Promise<number | undefined> {
    const store = sharedLimits();
    if (!store) return undefined;
    const { limit, perMs } = this.#options;
    try {
      const waitMs = await store.take(`${this.#space}:${key}`, { limit, perMs, reserve });
      this.#away = false;
      return waitMs;
    } catch (error) {
      // Said once, not with each call.
      if (!this.#away) log.warn("a shared limit cannot be counted; this process counts", { what: this.#what, error });
      this.#away = true;
      return undefined;
    }
  }
}
