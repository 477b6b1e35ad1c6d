// JSON: how values go out. A date is its ISO 8601 text, a bigint its decimal digits, a map a list of pairs, a set a list,
// bytes are base64; `decode.ts` reads the same on the way in, where the contract asks for it.
import type { z } from "zod";
import { contains } from "./schema-walk.ts";

/** Kinds whose JSON is not what `JSON.stringify` makes, or whose values the contract does not know. */
const special = new Set(["bigint", "map", "set", "any", "unknown", "custom", "transform", "lazy", "promise"]);

/** Writes the outputs of a contract. */
export function encoderOf(schema: z.ZodType): (value: unknown) => string {
  return contains(schema, special, "output") ? toJson : JSON.stringify;
}

/** The JSON of any value. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, replace) ?? "null";
}

function replace(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  // Not `value`: a Buffer has made itself an object by now.
  const before = (this as Record<string, unknown>)[key];
  if (before instanceof Uint8Array) return Buffer.from(before).toString("base64");
  if (value instanceof Map) return [...value];
  return value instanceof Set ? [...value] : value;
}
