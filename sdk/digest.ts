// Digest: SHA-256 over canonical JSON (keys sorted at every level), the same for equal values whatever their key order.
import { createHash } from "node:crypto";

/** JSON with sorted keys; what JSON cannot say is written as a tagged string, so that it never throws. */
export function canonicalJson(value: unknown): string {
  const open = new Set<object>();
  const write = (item: unknown): string => {
    if (typeof item === "bigint") return `"bigint:${item}"`;
    if (item === undefined || typeof item === "function" || typeof item === "symbol") return "null";
    if (typeof item !== "object" || item === null) return JSON.stringify(item);
    if (open.has(item)) return '"[circular]"';
    open.add(item);
    try {
      if (item instanceof Date) return `"date:${item.getTime()}"`;
      if (item instanceof Map) return `{"map":${write([...item])}}`;
      if (item instanceof Set) return `{"set":${write([...item])}}`;
      if (Array.isArray(item)) return `[${item.map(write).join(",")}]`;
      const entries = Object.entries(item)
        .filter(([, field]) => field !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${write(field)}`).join(",")}}`;
    } finally {
      open.delete(item);
    }
  };
  return write(value);
}

/** SHA-256 of the canonical JSON, hexadecimal. */
export function digest(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
