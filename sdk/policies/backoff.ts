// Backoff: how long to wait before the next attempt. Exponential has full jitter, so that runs that failed together
// spread out; fixed is exact.
import { ExponentialBackoff, fullJitterGenerator, type IBackoff } from "cockatiel";
import type { RetryIr } from "../ir/ir.ts";
import { retryDefaults } from "./check-policy.ts";

/** Returns the next wait, milliseconds, each time it is called. */
export function backoffOf(retry: RetryIr): () => number {
  const initialDelay = retry.initialMs ?? retryDefaults.initialMs;
  const maxDelay = Math.max(retry.maxMs ?? retryDefaults.maxMs, initialDelay);
  if ((retry.backoff ?? retryDefaults.backoff) === "fixed") return () => initialDelay;
  const factory = new ExponentialBackoff({ initialDelay, maxDelay, exponent: 2, generator: fullJitterGenerator });
  let backoff: IBackoff<unknown> | undefined;
  return () => {
    const next = backoff === undefined ? factory.next() : backoff.next(undefined);
    backoff = next;
    return next.duration;
  };
}
