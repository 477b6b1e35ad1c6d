// Redactor: replaces known secret values wherever they would leave, in logs, build output, answers and messages.

const shortest = 6;
/** A line of a secret of several lines is a secret of its own, because logs are redacted line by line. */
const shortestLine = 16;
const mark = "[redacted]";

/** Words that configure and name things: as the value of a variable they keep no secret, and replaced everywhere they hide much. */
const plainWords = new Set(
  "production development staging preview testing default enabled disabled localhost postgres verbose warning silent".split(
    " ",
  ),
);

/**
 * Redaction is by value, so it also catches a secret that an app prints by itself. A value once known stays known: an
 * instance that runs may still print the one that was replaced or removed.
 */
export class Redactor {
  readonly #values = new Set<string>();
  #pattern: RegExp | null = null;

  /** Makes secret values known. Values under 6 characters cannot be told apart from text. */
  learn(values: Iterable<string>): void {
    const before = this.#values.size;
    for (const value of values) {
      for (const form of formsOf(value)) this.#values.add(form);
    }
    if (this.#values.size === before) return;
    const longestFirst = [...this.#values].sort((a, b) => b.length - a.length);
    this.#pattern = new RegExp(longestFirst.map((value) => RegExp.escape(value)).join("|"), "g");
  }

  /** The text with every known secret replaced by `[redacted]`. */
  redact(text: string): string {
    return this.#pattern ? text.replace(this.#pattern, mark) : text;
  }

  /** The same for every text in a JSON value. Keys stay. */
  redactDeep<T>(value: T): T {
    return this.#pattern ? (this.#walk(value) as T) : value;
  }

  #walk(value: unknown): unknown {
    if (typeof value === "string") return this.redact(value);
    if (Array.isArray(value)) return value.map((inner) => this.#walk(inner));
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.#walk(inner)]));
  }
}

/** The forms in which a value shows itself: as it is, inside JSON, inside a URL, and line by line. */
function formsOf(value: string): string[] {
  if (value.length < shortest || plainWords.has(value.toLowerCase())) return [];
  const lines = value.split(/\r?\n/).filter((line) => line.length >= shortestLine && !line.startsWith("-----"));
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value.toWellFormed()), ...lines];
}
