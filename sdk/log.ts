// Log: lines of JSON on standard output, with the ids of the active trace; the platform reads them as log records.
import { trace } from "@opentelemetry/api";

export type LogFields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

type Level = keyof Log;

/** A log whose lines all carry `fields`. Warnings and errors go to standard error. */
export function createLog(fields: LogFields = {}): Log {
  const write = (level: Level, message: string, more: LogFields = {}) => {
    const span = trace.getActiveSpan()?.spanContext();
    const ids = span ? { trace_id: span.traceId, span_id: span.spanId } : {};
    const line = stringify({ time: new Date().toISOString(), level, message, ...fields, ...more, ...ids });
    (level === "warn" || level === "error" ? process.stderr : process.stdout).write(`${line}\n`);
  };
  return {
    debug: (message, more) => write("debug", message, more),
    info: (message, more) => write("info", message, more),
    warn: (message, more) => write("warn", message, more),
    error: (message, more) => write("error", message, more),
  };
}

/** A line is written whatever the fields hold: a log call must not be what fails. */
function stringify(value: LogFields): string {
  const seen = new WeakSet<object>();
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return item.toString();
    if (item instanceof Error) return { name: item.name, message: item.message, stack: item.stack };
    if (typeof item === "object" && item !== null) {
      if (seen.has(item)) return "[repeated]";
      seen.add(item);
    }
    return item;
  });
}
