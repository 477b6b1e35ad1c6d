// Output cache: outputs by key, fresh, then stale while a new one is made; one call makes it for all who wait.
import { TsdevError } from "../errors.ts";
import type { CacheIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import { type CachedOutput, type CacheStore, MemoryCacheStore, sharedCache } from "./cache-store.ts";

/** hit: answered without running anything for it. stale: the same, and a new one is being made. miss: it ran. */
export type CacheResult = "hit" | "miss" | "stale";

type Make = (signal: AbortSignal) => Promise<unknown>;

/** One run for all who want its output. */
interface Flight {
  readonly output: Promise<unknown>;
  readonly controller: AbortController;
  waiting: number;
  /** A refresh: it ends whether or not anybody waits. */
  readonly detached: boolean;
}

const log = createLog({ component: "tsdev-cache" });

/**
 * Invariants: at most one flight per key is in this process. An error goes to all who wait for the flight and is never
 * kept. Nobody shares an object with anybody. A flight is aborted when the last who waited has given up, except one that
 * refreshes a stale output.
 */
export class OutputCache {
  readonly #what: string;
  readonly #space: () => string;
  readonly #staleMs: number;
  readonly #keepMs: number;
  readonly #memory = new MemoryCacheStore();
  readonly #flights = new Map<string, Flight>();
  readonly #lookups = new Map<string, Promise<CachedOutput | undefined>>();

  /** `space` sets the keys of this cache apart within a store that others share. */
  constructor(what: string, options: CacheIr, space: () => string) {
    this.#what = what;
    this.#space = space;
    this.#staleMs = options.staleMs ?? 0;
    this.#keepMs = options.ttlMs + this.#staleMs;
  }

  /** Throws what `make` throws, or the signal's reason. */
  async get(key: string, signal: AbortSignal, make: Make): Promise<{ output: unknown; result: CacheResult }> {
    const found = this.#lookUp(key);
    const kept = found instanceof Promise ? await found : found;
    signal.throwIfAborted();
    if (kept && kept.leftMs > this.#staleMs) return { output: kept.output, result: "hit" };
    const flying = this.#flights.get(key);
    if (kept) {
      if (!flying) this.#fly(key, make, true);
      return { output: kept.output, result: "stale" };
    }
    const flight = flying ?? this.#fly(key, make, false);
    return { output: await this.#wait(key, flight, signal), result: flying ? "hit" : "miss" };
  }

  #lookUp(key: string): Promise<CachedOutput | undefined> | CachedOutput | undefined {
    const shared = sharedCache();
    if (!shared) return this.#memory.get(key);
    // All who ask at the same time go on at the same time, so that the first one's flight is there for the others.
    let lookup = this.#lookups.get(key);
    if (!lookup) {
      lookup = this.#lookUpShared(shared, key);
      this.#lookups.set(key, lookup);
    }
    return lookup;
  }

  async #lookUpShared(store: CacheStore, key: string): Promise<CachedOutput | undefined> {
    try {
      return await store.get(this.#sharedKey(key));
    } catch (error) {
      log.warn("a cached output could not be read", { what: this.#what, error });
      return undefined;
    } finally {
      this.#lookups.delete(key);
    }
  }

  #sharedKey(key: string): string {
    return `tsdev:cache:${this.#space()}:${key}`;
  }

  #fly(key: string, make: Make, detached: boolean): Flight {
    const controller = new AbortController();
    const made = make(controller.signal).then((output) => ({ output, kept: this.#keep(key, output) }));
    const flight: Flight = { output: made.then(({ output }) => output), controller, waiting: 0, detached };
    this.#flights.set(key, flight);
    made
      .then(({ kept }) => kept)
      .catch((error: unknown) => {
        if (detached && flight.waiting === 0) {
          log.warn("a stale output could not be made anew", { what: this.#what, error });
        }
      })
      // Until it is kept, so that nobody makes it once more in between.
      .finally(() => this.#forget(key, flight));
    // Whoever waits is told; a refresh that nobody waits for has been told of above.
    flight.output.catch(() => {});
    return flight;
  }

  #forget(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  async #keep(key: string, output: unknown): Promise<void> {
    const shared = sharedCache();
    if (!shared) return this.#memory.set(key, output, this.#keepMs);
    try {
      await shared.set(this.#sharedKey(key), output, this.#keepMs);
    } catch (error) {
      log.warn("an output could not be cached", { what: this.#what, error });
    }
  }

  async #wait(key: string, flight: Flight, signal: AbortSignal): Promise<unknown> {
    flight.waiting += 1;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const giveUp = () => reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    let output: unknown;
    try {
      output = await Promise.race([flight.output, aborted]);
    } finally {
      signal.removeEventListener("abort", giveUp);
      flight.waiting -= 1;
      if (signal.aborted && flight.waiting === 0 && !flight.detached) {
        // Whoever asks from now on begins anew and does not get the end of this one.
        this.#forget(key, flight);
        flight.controller.abort(signal.reason);
      }
    }
    return copyOf(output, this.#what);
  }
}

function copyOf(output: unknown, what: string): unknown {
  try {
    return structuredClone(output);
  } catch (cause) {
    throw new TsdevError("invalid_output", {
      message: `${what} has a cache, and returned what cannot be copied`,
      fix: "return plain data, or take the cache off",
      cause,
    });
  }
}
