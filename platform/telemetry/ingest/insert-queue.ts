// InsertQueue: merges the rows that arrive while an insert runs into the next one, within a bound.
import { setTimeout as delay } from "node:timers/promises";
import { TsdevError } from "../../../sdk/errors.ts";
import type { Group } from "./spool.ts";
import type { IngestTable } from "./tables.ts";

/** Most bytes that may wait, over all tables. */
const waitingLimit = 64 * 1024 * 1024;
/** Most rows and bytes of one insert. */
const groupRows = 16_384;
const groupBytes = 32 * 1024 * 1024;
/**
 * An insert costs ClickHouse about 11 ms of CPU however few rows it has, and its part is merged the more often the smaller
 * it is. So those of a table begin this far apart, in milliseconds, and on a machine that has much to do further: as many
 * times what the last one took, up to the most. Enough rows are worth one at once, and so is the first after a pause.
 */
const spacing = { leastMs: 50, times: 2, mostMs: 100 };
const worthwhileRows = 8_192;

interface Entry {
  rows: Buffer;
  count: number;
  request: string | undefined;
  settle: () => void;
  fail: (error: unknown) => void;
}

export class InsertQueue {
  readonly #insert: (group: Group) => Promise<void>;
  readonly #waiting = new Map<IngestTable, Entry[]>();
  readonly #running = new Map<IngestTable, Promise<void>>();
  #bytes = 0;
  #closed = false;

  constructor(insert: (group: Group) => Promise<void>) {
    this.#insert = insert;
  }

  /** Resolves when the rows are stored. They must not be changed until then. `request` is the digest of what they came in. */
  add(table: IngestTable, rows: Buffer, count: number, request?: string): Promise<void> {
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
      entries.push({ rows, count, request, settle, fail });
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
    for (let group = this.#take(table); group.length > 0; group = this.#take(table)) {
      const started = performance.now();
      await this.#store(table, group);
      const took = performance.now() - started;
      const next = started + Math.min(spacing.mostMs, Math.max(spacing.leastMs, spacing.times * took));
      while (performance.now() < next && !this.#worthwhile(table)) await delay(5);
    }
    this.#running.delete(table);
  }

  #worthwhile(table: IngestTable): boolean {
    if (this.#closed) return true;
    let rows = 0;
    for (const entry of this.#waiting.get(table) ?? []) rows += entry.count;
    return rows >= worthwhileRows;
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
      const requests = group.flatMap(({ request }) => request ?? []);
      await this.#insert({ table, rows, requests });
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
