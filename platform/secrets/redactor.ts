// Redactor: replaces known secret values wherever they would leave, in logs, build output and messages.

const shortest = 6;

/** Redaction is by value, so it also catches a secret that an app prints by itself. */
export class Redactor {
  readonly #values = new Map<string, string[]>();
  #pattern: RegExp | null = null;

  /** Sets the secret values of one owner (for example an environment). Values under 6 characters cannot be told apart from text. */
  set(owner: string, values: string[]): void {
    this.#values.set(
      owner,
      values.filter((value) => value.length >= shortest),
    );
    const all = [...new Set([...this.#values.values()].flat())].sort((a, b) => b.length - a.length);
    this.#pattern = all.length === 0 ? null : new RegExp(all.map((value) => RegExp.escape(value)).join("|"), "g");
  }

  /** The text with every known secret replaced by `[redacted]`. */
  redact(text: string): string {
    return this.#pattern ? text.replace(this.#pattern, "[redacted]") : text;
  }
}
