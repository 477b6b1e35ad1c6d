// Sampling of recordings: the first of each key in a minute, then a share of the rest.
const perMinute = 400;
const shareAfter = 0.1;
// Keys come from URLs, so their number is bounded.
const knownKeys = 2_000;

/** Decides per key (route, workflow or procedure) whether one more is recorded. */
export class RecordingSampler {
  readonly #counts = new Map<string, number>();
  readonly #perMinute: number;
  readonly #shareAfter: number;
  #minute = 0;

  constructor(all = perMinute, share = shareAfter) {
    this.#perMinute = all;
    this.#shareAfter = share;
  }

  take(key: string, now: number): boolean {
    const minute = Math.floor(now / 60_000);
    if (minute !== this.#minute || this.#counts.size > knownKeys) {
      this.#minute = minute;
      this.#counts.clear();
    }
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count <= this.#perMinute || Math.random() < this.#shareAfter;
  }
}

/** Whether a route or a path is on the list; a trailing `*` stands for anything. */
export function isExcluded(exclude: readonly string[], ...names: string[]): boolean {
  return exclude.some((pattern) =>
    pattern.endsWith("*") ? names.some((name) => name.startsWith(pattern.slice(0, -1))) : names.includes(pattern),
  );
}
