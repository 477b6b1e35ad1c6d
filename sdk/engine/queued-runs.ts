// Queued runs: counts the runs of a workflow that wait for a worker, so that no more are queued than may be. Invariant: a
// process never admits one beyond the limit, whatever it starts at once; of what others start it learns once a second.
import type { RunStore } from "./run-store.ts";

/** A count is used for so long, milliseconds. Near the limit each start counts. */
const countMs = 1_000;

interface Counted {
  count: number;
  readonly at: number;
}

export class QueuedRuns {
  readonly #store: RunStore;
  readonly #limit: number;
  readonly #counted = new Map<string, Counted>();
  /** Counts on their way; what is queued meanwhile is added, since they may not have it. */
  readonly #counting = new Map<string, { counted: Counted; done: Promise<void> }>();
  /** Admitted, and not yet known to be queued. */
  readonly #admitted = new Map<string, number>();

  constructor(store: RunStore, limit: number) {
    this.#store = store;
    this.#limit = limit;
  }

  /** Admits one more and answers undefined, or answers how many there are. Whoever is admitted says so to `begun`. */
  async admit(workflow: string): Promise<number | undefined> {
    const counted = this.#counted.get(workflow);
    if (!counted || performance.now() - counted.at > countMs || this.#all(workflow) >= this.#limit) {
      await this.#count(workflow);
    }
    const all = this.#all(workflow);
    if (all >= this.#limit) return all;
    this.#admitted.set(workflow, (this.#admitted.get(workflow) ?? 0) + 1);
    return undefined;
  }

  /** `queued`: the run waits now. False also where it could not begin. */
  begun(workflow: string, { admitted, queued }: { admitted: boolean; queued: boolean }): void {
    if (admitted) this.#admitted.set(workflow, this.#admitted.get(workflow)! - 1);
    if (!queued) return;
    for (const counted of [this.#counted.get(workflow), this.#counting.get(workflow)?.counted]) {
      if (counted) counted.count++;
    }
  }

  #all(workflow: string): number {
    return (this.#counted.get(workflow)?.count ?? 0) + (this.#admitted.get(workflow) ?? 0);
  }

  #count(workflow: string): Promise<void> {
    let counting = this.#counting.get(workflow);
    if (!counting) {
      const counted = { count: 0, at: performance.now() };
      const done = this.#store
        .queued(workflow)
        .then((count) => {
          counted.count += count;
          this.#counted.set(workflow, counted);
        })
        .finally(() => this.#counting.delete(workflow));
      counting = { counted, done };
      this.#counting.set(workflow, counting);
    }
    return counting.done;
  }
}
