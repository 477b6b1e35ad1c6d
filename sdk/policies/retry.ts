// Retry: whether a failed attempt is made again, and when.
import { performance } from "node:perf_hooks";
import type { RetryIr } from "../ir/ir.ts";
import { backoffOf } from "./backoff.ts";
import { retryAfterOf } from "./retry-after.ts";
import { errorType, isLasting, isTransient } from "./transient.ts";

/** The longest wait for the next attempt that an error may ask for, milliseconds; one that asks for more is the last. */
export const longestRetryAfterMs = 10 * 60_000;

/** What follows from a failed attempt. */
export interface NextAttempt {
  readonly again: boolean;
  /** Before the next attempt; 0 when there is none. */
  readonly waitMs: number;
  /** True when the error was one to retry and no attempt, or no budget, was left. */
  readonly exhausted: boolean;
}

/** The retries of one call. */
export class Retries {
  readonly #retry: RetryIr | undefined;
  readonly #budget: RetryBudget | undefined;
  #backoff: (() => number) | undefined;

  /** `carriedOn`: the call was counted when it began. */
  constructor(retry: RetryIr | undefined, budget: RetryBudget | undefined, carriedOn = false) {
    this.#retry = retry;
    this.#budget = budget;
    if (!carriedOn) budget?.call();
  }

  /** `attempt` is the number of the one that failed, from 1. Spends of the budget when it says that there is another. */
  after(error: unknown, attempt: number, signal: AbortSignal): NextAttempt {
    const retry = this.#retry;
    if (signal.aborted || !shouldRetry(retry, error)) return { again: false, waitMs: 0, exhausted: false };
    const last = { again: false, waitMs: 0, exhausted: true };
    if (!retry || attempt >= retry.maxAttempts) return last;
    this.#backoff ??= backoffFrom(retry, attempt);
    const askedMs = retryAfterOf(error) ?? 0;
    if (askedMs > longestRetryAfterMs && askedMs > (retry.maxMs ?? 0)) return last;
    const waitMs = Math.max(this.#backoff(), askedMs);
    if (this.#budget && !this.#budget.retry()) return last;
    return { again: true, waitMs, exhausted: false };
  }
}

/** Of a call whose first attempts another worker made, the waits go on where they were. */
function backoffFrom(retry: RetryIr, attempt: number): () => number {
  const next = backoffOf(retry);
  for (let made = 1; made < attempt; made++) next();
  return next;
}

/**
 * Whether the error is one of those that the retry is for; without a retry, whether it is transient. What would fail the
 * same way again never is: `invalid_input`, `invalid_output`, a call that was canceled, and `retryable: false`.
 */
export function shouldRetry(retry: Pick<RetryIr, "on"> | undefined, error: unknown): boolean {
  if (isLasting(error)) return false;
  const on = retry?.on;
  if (!on) return isTransient(error);
  return on.some((kind) =>
    kind === "any" ? true : kind === "transient" ? isTransient(error) : kind === errorType(error),
  );
}

const windowMs = 10_000;
const slices = 10;
/**
 * Retries that are allowed within the window however few calls there are. Finagle's default is 10 a second beside its
 * share of 20 %, for clients that make thousands of calls a second; a procedure makes fewer.
 */
const alwaysAllowed = 10;

/**
 * At most a share of the calls of the last 10 seconds may be retries, so that retries do not bring down for good what is
 * only slow: with 0.2, what fails wholly gets 1.2 times its calls and not `maxAttempts` times. As Finagle's RetryBudget
 * (https://finagle.github.io/blog/2016/02/08/retry-budgets, also 10 seconds), here per procedure or step and process.
 */
export class RetryBudget {
  readonly #share: number;
  readonly #now: () => number;
  // Rings of one slice for each second, so that old calls are forgotten without a timer.
  readonly #calls = new Uint32Array(slices);
  readonly #retries = new Uint32Array(slices);
  #slice: number;

  constructor(share: number, now: () => number = () => performance.now()) {
    this.#share = share;
    this.#now = now;
    this.#slice = this.#current();
  }

  call(): void {
    this.#forget();
    this.#calls[this.#slice % slices]! += 1;
  }

  /** Spends one, or answers false. */
  retry(): boolean {
    this.#forget();
    const allowed = Math.max(alwaysAllowed, this.#share * sum(this.#calls));
    if (sum(this.#retries) + 1 > allowed) return false;
    this.#retries[this.#slice % slices]! += 1;
    return true;
  }

  #current(): number {
    return Math.floor(this.#now() / (windowMs / slices));
  }

  #forget(): void {
    const current = this.#current();
    for (let slice = Math.max(this.#slice + 1, current - slices + 1); slice <= current; slice++) {
      this.#calls[slice % slices] = 0;
      this.#retries[slice % slices] = 0;
    }
    this.#slice = current;
  }
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
