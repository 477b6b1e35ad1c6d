// Journal writer: numbers the rows of one run and has them written. Invariants:
// 1. Rows get their numbers here, in the order in which they are committed: while a change is on its way, which may be
//    refused, no row is numbered.
// 2. After a failed write nothing is written: the run is not over, another worker carries it on.
import type { Change, Lease, Row, RunStore } from "./run-store.ts";

export interface JournalWriterParts {
  readonly store: RunStore;
  readonly lease: Lease;
  /** Of the newest row. */
  readonly seq: number;
  /** Called after rows were written. */
  readonly onRow: () => void;
  /** Called with what the store threw. */
  readonly onBroken: (error: Error) => void;
}

export class JournalWriter {
  readonly #parts: JournalWriterParts;
  #seq: number;
  #broken: Error | undefined;
  #gate: Promise<unknown> | undefined;

  constructor(parts: JournalWriterParts) {
    this.#parts = parts;
    this.#seq = parts.seq;
  }

  /** Of the newest row. */
  get seq(): number {
    return this.#seq;
  }

  /** Writes a row and gives its number, at once when it is written already. */
  append(row: Omit<Row, "seq">): number | Promise<number> {
    if (this.#gate) return this.#gate.then(() => this.append(row));
    if (this.#broken) throw this.#broken;
    // Own keys only, since a present `output` means one.
    const numbered = { ...row, seq: ++this.#seq };
    const written = this.#parts.store.append(this.#parts.lease, numbered);
    if (!written) {
      this.#parts.onRow();
      return numbered.seq;
    }
    return written.then(
      () => {
        this.#parts.onRow();
        return numbered.seq;
      },
      (error) => this.#fail(error),
    );
  }

  /** A change whose rows are written only if it is. With `ifSignals` it may be refused; then nothing is numbered. */
  async change(rows: readonly Omit<Row, "seq">[], change: Omit<Change, "rows">): Promise<"done" | "signaled"> {
    while (this.#gate) await this.#gate;
    if (this.#broken) throw this.#broken;
    const numbered = rows.map((row, index) => ({ ...row, seq: this.#seq + 1 + index }));
    const changing = this.#parts.store.change(this.#parts.lease, { ...change, rows: numbered });
    const gate = changing.then(
      () => {},
      () => {},
    );
    this.#gate = gate;
    try {
      const outcome = await changing;
      if (outcome === "done") {
        this.#seq += rows.length;
        this.#parts.onRow();
      }
      return outcome;
    } catch (error) {
      return this.#fail(error);
    } finally {
      this.#gate = undefined;
    }
  }

  #fail(error: unknown): never {
    this.#broken ??= error instanceof Error ? error : new Error(String(error));
    this.#parts.onBroken(this.#broken);
    throw this.#broken;
  }
}
