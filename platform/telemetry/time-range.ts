// Times in a query's input: an ISO time, or how long ago.
import { z } from "zod";

const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `15m`, `1h`, `7d` ago, or an ISO time; as milliseconds since the epoch. */
export const Since = z
  .string()
  .max(64)
  .transform((text, context) => {
    const ago = /^(\d{1,6})\s*(s|m|h|d|w)$/.exec(text.trim());
    if (ago !== null) return Date.now() - Number(ago[1]) * units[ago[2]!]!;
    const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(time)) {
      context.addIssue({ code: "custom", message: "use a duration such as 15m, 1h or 7d, or an ISO time" });
      return z.NEVER;
    }
    return time;
  })
  .meta({ description: "how long ago (15m, 1h, 7d) or an ISO time", example: "1h" });

/** Milliseconds as nanoseconds in text: the form in which times are bound as Int64 without losing digits. */
export function nanoseconds(milliseconds: number): string {
  return String(BigInt(Math.round(milliseconds)) * 1_000_000n);
}

/** An opaque cursor for the next page: the sort key of the last row of this one. */
export function toCursor(key: [string, string]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

export const Cursor = z
  .string()
  .max(300)
  .transform((text, context): [string, string] => {
    const key = readCursor(text);
    if (key !== null) return key;
    context.addIssue({ code: "custom", message: "use the cursor of an answer as it is, or none" });
    return z.NEVER;
  })
  .meta({ description: "the `cursor` of the answer before, for the next page" });

function readCursor(text: string): [string, string] | null {
  try {
    const key: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    const valid = Array.isArray(key) && key.length === 2 && key.every((part) => /^[0-9a-f]{1,40}$/.test(String(part)));
    return valid ? [String(key[0]), String(key[1])] : null;
  } catch {
    return null;
  }
}
