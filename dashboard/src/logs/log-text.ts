// Log text: a line that is a JSON object, as loggers write them, in its message and the rest.
export interface LogText {
  message: string;
  rest: string;
}

/** Known from the columns beside it. */
const shown = new Set(["time", "timestamp", "ts", "level", "severity", "message", "msg"]);

export function readLogText(text: string): LogText {
  if (!text.startsWith("{")) return { message: text, rest: "" };
  try {
    const record = JSON.parse(text) as Record<string, unknown>;
    const message = record.message ?? record.msg;
    if (typeof message !== "string") return { message: text, rest: "" };
    const rest = Object.entries(record)
      .filter(([key]) => !shown.has(key))
      .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
    return { message, rest: rest.join(" ") };
  } catch {
    return { message: text, rest: "" };
  }
}

/** The fields of a line that is a JSON object, as text; none of any other line. */
export function jsonFields(text: string): [name: string, value: string][] {
  if (!text.startsWith("{")) return [];
  try {
    return Object.entries(JSON.parse(text) as Record<string, unknown>)
      .filter(([name]) => !shown.has(name))
      .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  } catch {
    return [];
  }
}
