// Severity: OTLP's numbers, our six words, and a guess from what a process printed.
import type { LogRecord } from "./trace.ts";

export type Severity = LogRecord["severity"];

export const severities = ["trace", "debug", "info", "warn", "error", "fatal"] as const satisfies Severity[];

/** The lowest of the four OTLP numbers of a word. */
export function severityNumber(severity: Severity): number {
  return severities.indexOf(severity) * 4 + 1;
}

/** The word of an OTLP number; 0 is not known and counts as info. */
export function severityOf(number: number): Severity {
  return number === 0 ? "info" : (severities[Math.min(5, Math.floor((number - 1) / 4))] ?? "info");
}

const words: Record<string, Severity> = {
  trace: "trace",
  verbose: "debug",
  debug: "debug",
  info: "info",
  information: "info",
  notice: "info",
  log: "info",
  warn: "warn",
  warning: "warn",
  error: "error",
  err: "error",
  critical: "fatal",
  crit: "fatal",
  fatal: "fatal",
  panic: "fatal",
  emerg: "fatal",
};

/** What a line of output says of itself: a level in JSON (text, or a number as pino has it), or a level word near its start. */
export function guessSeverity(text: string, stream: "stdout" | "stderr"): Severity {
  if (text.startsWith("{")) {
    const level = jsonLevel(text);
    if (level !== null) return level;
  }
  // "[ERROR]", "error:", "2026-11-24T11:00:00Z WARN ...", "TypeError: ..."
  const word =
    /(?:^|[\s[(|])(trace|verbose|debug|info|notice|warn(?:ing)?|error|err|critical|crit|fatal|panic|emerg)(?=[\s:\])|]|$)/i.exec(
      text.slice(0, 80),
    )?.[1];
  // A word in lower case within a sentence ("no error found") says little.
  if (word !== undefined && (word === word.toUpperCase() || isMarked(text, word))) return words[word.toLowerCase()]!;
  if (/^(?:Uncaught )?[A-Z]\w*(?:Error|Exception)\b/.test(text)) return "error";
  return stream === "stderr" ? "error" : "info";
}

function isMarked(text: string, word: string): boolean {
  const at = text.indexOf(word);
  const [before, after] = [text[at - 1], text[at + word.length]];
  return (
    at === 0 || before === "[" || before === "(" || before === "|" || after === ":" || after === "]" || after === "|"
  );
}

function jsonLevel(text: string): Severity | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { level, severity, lvl } = value as Record<string, unknown>;
  const found = level ?? severity ?? lvl;
  if (typeof found === "string") return words[found.toLowerCase()] ?? null;
  // pino: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal
  if (typeof found === "number" && found >= 10 && found <= 60) return severities[Math.floor(found / 10) - 1] ?? null;
  return null;
}
