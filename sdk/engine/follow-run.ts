// Follows a run's events: read from the journal by number, so that nothing is left out or told twice whoever drives the
// run; a word from this process only makes the next reading come at once.
import { endStates } from "./engine.ts";
import { noRun } from "./run-errors.ts";
import type { RunEvent } from "./run-event.ts";
import type { RunStore } from "./run-store.ts";

/** How often a run that another process drives is looked at, milliseconds. */
const pollMs = 150;
const batch = 500;

/** Who waits for a word of a run. */
export class Followers {
  readonly #waiting = new Map<string, Set<() => void>>();

  changed(runId: string): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting.get(runId);
    if (!waiting) return;
    this.#waiting.delete(runId);
    for (const go of waiting) go();
  }

  /** Until something happens to the run here, or `ms` have passed, or the signal aborts. */
  next(runId: string, ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(runId) ?? new Set();
      const go = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", go);
        waiting.delete(go);
        if (waiting.size === 0 && this.#waiting.get(runId) === waiting) this.#waiting.delete(runId);
        resolve();
      };
      const timer = setTimeout(go, ms);
      signal?.addEventListener("abort", go, { once: true });
      waiting.add(go);
      this.#waiting.set(runId, waiting);
      if (signal?.aborted) go();
    });
  }
}

export async function* followRun(
  store: RunStore,
  followers: Followers,
  runId: string,
  after: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent> {
  let seen = after;
  let ended = false;
  while (!signal?.aborted) {
    // Before the reading: what happens during it is not waited for.
    const next = new AbortController();
    const changed = followers.next(runId, pollMs, signal ? AbortSignal.any([signal, next.signal]) : next.signal);
    const events = await store.events(runId, seen, batch);
    for (const event of events) {
      if (signal?.aborted) break;
      seen = event.seq;
      yield event;
    }
    if (events.length > 0) {
      ended = false;
      next.abort();
      continue;
    }
    // Twice nothing, with the end seen in between: there is nothing more.
    if (ended) {
      next.abort();
      return;
    }
    const run = await store.find(runId);
    if (!run) {
      next.abort();
      throw noRun(runId);
    }
    ended = endStates.has(run.state);
    if (ended) next.abort();
    else await changed;
  }
}
