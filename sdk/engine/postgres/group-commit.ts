// Group commit: writes that are ready at the same time share one statement and one fsync. A batch is flushed when the
// event loop has come round, while fewer than two of its kind are in flight, else the next one collects: no timer, so a
// lone write waits for nobody. Not within the turn: the answer to a batch wakes several runs, and the first that is ready
// would go alone (measured at ten runs: half the steps a second, and twice the CPU for each).
// Invariant: writes with one key (a run) are committed in the order in which they were added, whatever their kinds: a
// key that is in flight, or that waits further ahead, holds back what comes after it, and a failed write fails it too.

export interface Lane<T, R> {
  /** Gets a batch and gives for every item in it, in order, its result or its error. */
  write(items: readonly T[]): Promise<readonly (R | Error)[]>;
  keyOf(item: T): string;
  /** True when a batch holds at most one item of a key. */
  oncePerKey: boolean;
}

interface Waiting {
  lane: LaneState;
  key: string;
  item: unknown;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

interface LaneState {
  lane: Lane<unknown, unknown>;
  inFlight: number;
  scheduled: boolean;
}

const maxBatch = 500;
const maxInFlight = 2;

export class GroupCommit {
  #waiting: Waiting[] = [];
  readonly #busy = new Set<string>();
  readonly #lanes: LaneState[] = [];

  /** A kind of write; the function that it returns resolves when its item is committed. */
  lane<T, R>(lane: Lane<T, R>): (item: T) => Promise<R> {
    const state: LaneState = { lane: lane as Lane<unknown, unknown>, inFlight: 0, scheduled: false };
    this.#lanes.push(state);
    return (item) =>
      new Promise<R>((resolve, reject) => {
        this.#waiting.push({
          lane: state,
          key: lane.keyOf(item),
          item,
          resolve: resolve as (result: unknown) => void,
          reject,
        });
        this.#schedule(state);
      });
  }

  #schedule(state: LaneState): void {
    if (state.scheduled || state.inFlight >= maxInFlight || this.#waiting.length === 0) return;
    state.scheduled = true;
    setImmediate(() => {
      state.scheduled = false;
      this.#flush(state);
    });
  }

  #flush(state: LaneState): void {
    while (state.inFlight < maxInFlight && this.#waiting.length > 0) {
      const batch = this.#take(state);
      if (batch.length === 0) return;
      state.inFlight++;
      void this.#commit(state, batch);
    }
  }

  #take(state: LaneState): Waiting[] {
    const batch: Waiting[] = [];
    const taken = new Set<string>();
    const heldBack = new Set<string>();
    const rest: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const { key } = waiting;
      const free = waiting.lane === state && batch.length < maxBatch && !this.#busy.has(key) && !heldBack.has(key);
      if (free && !(state.lane.oncePerKey && taken.has(key))) {
        batch.push(waiting);
        taken.add(key);
      } else {
        heldBack.add(key);
        rest.push(waiting);
      }
    }
    this.#waiting = rest;
    for (const key of taken) this.#busy.add(key);
    return batch;
  }

  async #commit(state: LaneState, batch: readonly Waiting[]): Promise<void> {
    let results: readonly unknown[];
    try {
      results = await state.lane.write(batch.map(({ item }) => item));
    } catch (error) {
      results = batch.map(() => (error instanceof Error ? error : new Error(String(error))));
    }
    state.inFlight--;
    for (const { key } of batch) this.#busy.delete(key);
    const failed = new Map<string, Error>();
    for (const [index, waiting] of batch.entries()) {
      const result = results[index];
      if (result instanceof Error) {
        failed.set(waiting.key, result);
        waiting.reject(result);
      } else waiting.resolve(result);
    }
    if (failed.size > 0) {
      this.#waiting = this.#waiting.filter((waiting) => {
        const error = failed.get(waiting.key);
        if (error) waiting.reject(error);
        return error === undefined;
      });
    }
    for (const lane of this.#lanes) this.#schedule(lane);
  }
}
