// InsertQueue: merges the rows that arrive while an insert runs into the next one, within a bound.
import { TsdevError } from "../../../sdk/errors.ts";
import type { IngestTable } from "./tables.ts";

/** Most bytes that may wait, over all tables. */
const waitingLimit = 64 * 1024 * 1024;
/** Most rows and bytes of one insert. */
const groupRows = 16_384;
const groupBytes = 32 * 1024 * 1024;

interface Entry {
  rows: Buffer;
  count: number;
  settle: () => void;
  fail: (error: unknown) => void;
}

export class InsertQueue {
  readonly #insert: (table: IngestTable, rows: readonly Buffer[]) => Promise<void>;
  readonly #waiting = new Map<IngestTable, Entry[]>();
  readonly #running = new Map<IngestTable, Promise<void>>();
  #bytes = 0;
  #closed = false;

  constructor(insert: (table: IngestTable, rows: readonly Buffer[]) => Promise<void>) {
    this.#insert = insert;
  }

  /** Resolves when the rows are stored. They must not be changed until then. */
  add(table: IngestTable, rows: Buffer, count: number): Promise<void> {
    if (count === 0) return Promise.resolve();
    if (this.#closed) {
      return Promise.reject(
        new TsdevError("unavailable", { message: "the telemetry store is closing", fix: "send it again in a moment" }),
      );
    }
    if (this.#bytes > 0 && this.#bytes + rows.length > waitingLimit) {
      return Promise.reject(
        new TsdevError("rate_limited", {
          message: "telemetry arrives faster than it can be stored",
          fix: "send it again in a moment, or sample at the sender",
        }),
      );
    }
    this.#bytes += rows.length;
    return new Promise((settle, fail) => {
      const entries = this.#waiting.get(table) ?? [];
      entries.push({ rows, count, settle, fail });
      this.#waiting.set(table, entries);
      if (!this.#running.has(table)) this.#running.set(table, this.#work(table));
    });
  }

  /** Waits until all that was added is stored. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#running.values());
  }

  async #work(table: IngestTable): Promise<void> {
    for (let group = this.#take(table); group.length > 0; group = this.#take(table)) await this.#store(table, group);
    this.#running.delete(table);
  }

  #take(table: IngestTable): Entry[] {
    const entries = this.#waiting.get(table) ?? [];
    let [rows, bytes, end] = [0, 0, 0];
    for (const entry of entries) {
      if (end > 0 && (rows + entry.count > groupRows || bytes + entry.rows.length > groupBytes)) break;
      rows += entry.count;
      bytes += entry.rows.length;
      end++;
    }
    return entries.splice(0, end);
  }

  async #store(table: IngestTable, group: Entry[]): Promise<void> {
    try {
      const rows = group.map((entry) => entry.rows);
      await this.#insert(table, rows);
      this.#settle(group);
    } catch (error) {
      // One sender's rows must not fail another's: each gets its own insert and its own answer.
      if (group.length === 1) this.#fail(group[0]!, error);
      else for (const entry of group) await this.#store(table, [entry]);
    }
  }

  #settle(group: Entry[]): void {
    for (const entry of group) {
      this.#bytes -= entry.rows.length;
      entry.settle();
    }
  }

  #fail(entry: Entry, error: unknown): void {
    this.#bytes -= entry.rows.length;
    entry.fail(
      TsdevError.is(error)
        ? error
        : new TsdevError("unavailable", {
            message: "the telemetry could not be stored",
            fix: "send it again in a moment; look at the disk if it repeats",
            cause: error,
          }),
    );
  }
}
