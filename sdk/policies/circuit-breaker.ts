// Circuit breaker: after failures in a row calls rest for a while, then one call tries.
import { performance } from "node:perf_hooks";
import { TsdevError } from "../errors.ts";
import type { CircuitBreakerIr } from "../ir/ir.ts";
import { isCallersMistake } from "./transient.ts";

/**
 * Closed: calls go through; `failures` in a row open it. Open: calls are refused for `openMs`. Half open: one call is let
 * through, the others are still refused; its success closes the circuit, its failure opens it again.
 *
 * A call that ends without a verdict, because it was canceled or the caller's own mistake, changes nothing: of a half open
 * circuit the next call is then the one that tries. A call that began before the circuit opened changes nothing either.
 */
export class CircuitBreaker {
  readonly #what: string;
  readonly #options: CircuitBreakerIr;
  readonly #now: () => number;
  #failures = 0;
  /** Counts how often it opened or closed, so that a call knows whether it still has a say. */
  #turn = 0;
  #openedAt: number | undefined;
  #trying = false;

  /** The clock must not go back: milliseconds. */
  constructor(what: string, options: CircuitBreakerIr, now: () => number = () => performance.now()) {
    this.#what = what;
    this.#options = options;
    this.#now = now;
  }

  get state(): "closed" | "open" | "half_open" {
    if (this.#openedAt === undefined) return "closed";
    return this.#trying || this.#leftMs() <= 0 ? "half_open" : "open";
  }

  /** Throws `circuit_open` with `retryAfterMs`, or what `fn` throws. */
  async execute<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    const tries = this.#openedAt !== undefined;
    if (tries) {
      const leftMs = this.#leftMs();
      if (leftMs > 0 || this.#trying) throw this.#refusal(leftMs);
      this.#trying = true;
    }
    const turn = this.#turn;
    try {
      const output = await fn();
      if (turn === this.#turn) this.#succeed();
      return output;
    } catch (error) {
      if (turn === this.#turn && !signal.aborted) {
        if (!isCallersMistake(error)) this.#fail();
      }
      throw error;
    } finally {
      if (tries && turn === this.#turn) this.#trying = false;
    }
  }

  #leftMs(): number {
    return (this.#openedAt ?? 0) + this.#options.openMs - this.#now();
  }

  #succeed(): void {
    this.#failures = 0;
    if (this.#openedAt === undefined) return;
    this.#openedAt = undefined;
    this.#trying = false;
    this.#turn += 1;
  }

  #fail(): void {
    this.#failures += 1;
    if (this.#openedAt === undefined && this.#failures < this.#options.failures) return;
    this.#openedAt = this.#now();
    this.#trying = false;
    this.#turn += 1;
  }

  #refusal(leftMs: number): TsdevError {
    return new TsdevError("circuit_open", {
      message: `${this.#what} failed ${this.#options.failures} times in a row and rests`,
      fix: "look at what it depends on; one call tries again when the rest is over",
      // While one call tries nobody knows how long; a moment is a fair guess.
      retryAfterMs: Math.ceil(leftMs > 0 ? leftMs : Math.min(1_000, this.#options.openMs)),
    });
  }
}
