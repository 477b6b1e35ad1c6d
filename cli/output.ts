// Output: JSON alone on stdout with --json, text for people otherwise; progress and errors on stderr.
import { styleText } from "node:util";
import Table from "cli-table3";
import { TsdevError } from "../sdk/errors.ts";

export interface OutputOptions {
  json: boolean;
}

/** Prints a command's result: the value as JSON, or what `text` makes of it. */
export function print<T>(value: T, options: OutputOptions, text: (value: T) => string): void {
  process.stdout.write(`${options.json ? JSON.stringify(value) : text(value)}\n`);
}

/** A line for people about what is going on. */
export function say(message: string): void {
  process.stderr.write(`${message}\n`);
}

export const dim = (text: string) => styleText("dim", text, { stream: process.stdout });
export const bold = (text: string) => styleText("bold", text, { stream: process.stdout });
export const colored = (color: "red" | "green" | "yellow" | "cyan", text: string) =>
  styleText(color, text, { stream: process.stdout });

/** A table without borders. `widths` limits columns, whose text is then wrapped. */
export function table(head: string[], rows: string[][], options: { widths?: (number | null)[] } = {}): string {
  const none = Object.fromEntries(
    [
      "top",
      "top-mid",
      "top-left",
      "top-right",
      "bottom",
      "bottom-mid",
      "bottom-left",
      "bottom-right",
      "left",
      "left-mid",
      "mid",
      "mid-mid",
      "right",
      "right-mid",
    ].map((place) => [place, ""]),
  );
  const made = new Table({
    head: head.map(dim),
    chars: { ...none, middle: "  " },
    ...(options.widths ? { colWidths: options.widths, wordWrap: true } : {}),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  made.push(...rows);
  return made.toString();
}

/** Says what went wrong and sets the exit code: 1 the work failed. */
export function fail(thrown: unknown, options: OutputOptions): void {
  const error = TsdevError.from(thrown);
  process.exitCode = 1;
  if (options.json) process.stderr.write(`${JSON.stringify({ error })}\n`);
  else
    process.stderr.write(
      `${styleText("red", `error ${error.code}`, { stream: process.stderr })}: ${error.message}\n  fix: ${error.fix}\n`,
    );
}
