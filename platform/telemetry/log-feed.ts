// LogFeed: hands log records to whoever follows, in this process, as they are stored.
import type { LogRow } from "./ingest/log-rows.ts";

/** How many records one follower may be behind; more are left out, and it is told how many. */
const backlog = 10_000;

/** How many records are kept for a follower that also searches: those that are on their way into the store. */
const recentLimit = 5_000;

/** A record, or how many were left out because the follower was too slow. */
export type FeedItem = { row: LogRow } | { skipped: number };

export class LogFeed {
  readonly #followers = new Set<(rows: LogRow[]) => void>();
  #recent: LogRow[] = [];

  publish(rows: LogRow[]): void {
    this.#recent.push(...rows.slice(-recentLimit));
    if (this.#recent.length > 2 * recentLimit) this.#recent = this.#recent.slice(-recentLimit);
    for (const follower of this.#followers) follower(rows);
  }

  /**
   * Starts now, not at the first `next()`: nothing is missed in between. `recent` begins with what was published lately
   * and may not be stored yet. Ends when the signal aborts.
   */
  follow(
    wanted: (row: LogRow) => boolean,
    signal: AbortSignal,
    { recent = false }: { recent?: boolean } = {},
  ): AsyncIterable<FeedItem> {
    const waiting: LogRow[] = recent ? this.#recent.filter(wanted) : [];
    let skipped = 0;
    let wake = () => {};
    const take = (rows: LogRow[]) => {
      for (const row of rows) {
        if (!wanted(row)) continue;
        if (waiting.length < backlog) waiting.push(row);
        else skipped++;
      }
      wake();
    };
    const end = () => {
      this.#followers.delete(take);
      wake();
    };
    if (!signal.aborted) {
      this.#followers.add(take);
      signal.addEventListener("abort", end, { once: true });
    }
    const followers = this.#followers;
    return (async function* () {
      try {
        while (!signal.aborted) {
          if (waiting.length === 0) {
            await new Promise<void>((settle) => {
              wake = settle;
            });
            continue;
          }
          for (const row of waiting.splice(0)) yield { row };
          if (skipped > 0) {
            const count = skipped;
            skipped = 0;
            yield { skipped: count };
          }
        }
      } finally {
        followers.delete(take);
        signal.removeEventListener("abort", end);
      }
    })();
  }
}
