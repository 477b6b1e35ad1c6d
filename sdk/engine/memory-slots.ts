// Memory slots: which runs of one key go on while the workflow limits how many of them may.
import type { Entry } from "./memory-entry.ts";

export class MemorySlots {
  readonly #entries: ReadonlyMap<string, Entry>;

  /** In the order in which the runs began. */
  constructor(entries: ReadonlyMap<string, Entry>) {
    this.#entries = entries;
  }

  /** False: the run is parked until one is free. */
  take(entry: Entry): boolean {
    const { slotKey, ir } = entry.run;
    if (slotKey === null || entry.hasSlot) return true;
    entry.hasSlot = this.#of(slotKey).filter(({ hasSlot }) => hasSlot).length < (ir.concurrency?.limit ?? Infinity);
    if (!entry.hasSlot) entry.dueAt = null;
    return entry.hasSlot;
  }

  /** Makes the run due that has been parked longest; false when there is none. */
  free(key: string): boolean {
    const next = this.#of(key).find(({ run, hasSlot, dueAt }) => run.state === "queued" && !hasSlot && dueAt === null);
    if (!next) return false;
    next.dueAt = performance.now();
    return true;
  }

  #of(key: string): Entry[] {
    return [...this.#entries.values()].filter(({ run }) => run.slotKey === key && run.finishedAt === null);
  }
}
