// The lines around those that a follower looks for, as `grep -C` shows them, of each instance by itself.

/** A line that was looked for, or one beside it. */
export interface Surrounded<Row> {
  row: Row;
  context: boolean;
}

/** Most instances whose last lines are remembered; of more, those that were silent longest are forgotten. */
const mostSources = 1_000;

/**
 * Takes all lines in their order, and gives those that `wanted` takes with up to `count` of the same source before and
 * after each. No line comes twice.
 */
export class LogSurroundings<Row> {
  readonly #count: number;
  readonly #wanted: (row: Row) => boolean;
  readonly #sourceOf: (row: Row) => string;
  readonly #sources = new Map<string, { before: Row[]; after: number }>();

  constructor(count: number, wanted: (row: Row) => boolean, sourceOf: (row: Row) => string) {
    this.#count = count;
    this.#wanted = wanted;
    this.#sourceOf = sourceOf;
  }

  take(row: Row): Surrounded<Row>[] {
    const name = this.#sourceOf(row);
    const source = this.#sources.get(name) ?? { before: [], after: 0 };
    // Set anew, so that the order of the map is that of who spoke last.
    this.#sources.delete(name);
    this.#sources.set(name, source);
    if (this.#sources.size > mostSources) this.#sources.delete(this.#sources.keys().next().value!);
    if (this.#wanted(row)) {
      const before = source.before.splice(0).map((one) => ({ row: one, context: true }));
      source.after = this.#count;
      return [...before, { row, context: false }];
    }
    if (source.after > 0) {
      source.after--;
      return [{ row, context: true }];
    }
    source.before.push(row);
    if (source.before.length > this.#count) source.before.shift();
    return [];
  }
}
