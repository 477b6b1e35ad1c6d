// Timeout: ends the wait for one attempt, whether or not the attempt minds its signal.
import { TsdevError } from "../errors.ts";
import type { TimeoutIr } from "../ir/ir.ts";

type Attempt<T> = (signal: AbortSignal) => Promise<T>;

/**
 * Runs `attempt` within the time limit and until `signal` aborts. Throws `timeout` naming `what`, or the signal's reason;
 * the attempt then finds its own signal aborted with the same error. What it still does after that is waited for by nobody.
 * Once it has returned its signal is left alone: a body that is a stream outlives it.
 */
export function limited<T>(limit: TimeoutIr, what: string, signal: AbortSignal, attempt: Attempt<T>): Promise<T> {
  return untilAborted(signal, attempt, { limit, what });
}

/** The same without a limit. */
export async function untilAborted<T>(
  signal: AbortSignal,
  attempt: Attempt<T>,
  timeout?: { readonly limit: TimeoutIr; readonly what: string },
): Promise<T> {
  signal.throwIfAborted();
  const own = timeout ? new AbortController() : undefined;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const giveUp = (reason: unknown) => {
    // Settled in the same turn: otherwise what the attempt makes of the abort would be taken for a failure of its own.
    reject(reason);
    own?.abort(reason);
  };
  const canceled = () => giveUp(signal.reason);
  signal.addEventListener("abort", canceled, { once: true });
  const timer = timeout && setTimeout(() => giveUp(tooLong(timeout.what, timeout.limit)), timeout.limit.ms);
  try {
    attempt(own?.signal ?? signal).then(resolve, reject);
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", canceled);
  }
}

function tooLong(what: string, { ms }: TimeoutIr): TsdevError {
  return new TsdevError("timeout", {
    message: `${what} took longer than ${ms} ms`,
    fix: "raise its time limit, or find in the trace what is slow",
  });
}
