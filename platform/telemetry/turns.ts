// Turns: statements on chDB's sessions, of which each runs one at a time and is thrown away after a failure.
import type { ClickHouseClient } from "@clickhouse/client";

/**
 * One statement at a time on a session, and a new session after one that failed: what a failed query had put out already
 * stays in its session, and would stand before the rows of the next query, whoever asks that.
 */
export class Turns {
  readonly #open: () => Promise<ClickHouseClient>;
  #client: ClickHouseClient | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Statements that run or wait. */
  waiting = 0;

  constructor(open: () => Promise<ClickHouseClient>) {
    this.#open = open;
  }

  run<T>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    this.waiting++;
    const turn = this.#last.then(() => this.#take(work));
    this.#last = turn.then(
      () => this.waiting--,
      () => this.waiting--,
    );
    return turn;
  }

  async #take<T>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    this.#client ??= await this.#open();
    try {
      return await work(this.#client);
    } catch (error) {
      await this.#drop();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }
}

/** The session on which the fewest statements run or wait. */
export function leastBusy(sessions: readonly Turns[]): Turns {
  return sessions.reduce((best, one) => (one.waiting < best.waiting ? one : best));
}
