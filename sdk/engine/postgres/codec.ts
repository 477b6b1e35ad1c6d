// Codec: values as JSON text that come back as they were, dates, maps, sets, bigints and undefined included.
import { Buffer } from "node:buffer";
import SuperJSON, { type SuperJSONResult } from "superjson";
import type { Stored } from "../run-store.ts";

const superjson = new SuperJSON();
// It takes a buffer for a typed array, and does not find its class when it reads.
superjson.registerCustom<Buffer, string>(
  {
    isApplicable: (value): value is Buffer => Buffer.isBuffer(value),
    serialize: (buffer) => buffer.toString("base64"),
    deserialize: (text) => Buffer.from(text, "base64"),
  },
  "Buffer",
);

/** Deeper values are left to superjson, which knows cycles. */
const maxDepth = 32;

/** `{"json": …}` with a `meta` where JSON alone would lose a type. Plain values skip superjson, which costs ten times more. */
export function encode(value: unknown): string {
  return isPlain(value, 0) ? `{"json":${JSON.stringify(value)}}` : superjson.stringify(value);
}

/** The inverse. */
export function decode(text: string): unknown {
  const parsed = JSON.parse(text) as SuperJSONResult;
  return parsed.meta === undefined ? parsed.json : superjson.deserialize(parsed);
}

/** Text that is decoded when it is first read. */
export class StoredText implements Stored {
  #text: string | undefined;
  #value: unknown;

  constructor(text: string) {
    this.#text = text;
  }

  read(): unknown {
    if (this.#text !== undefined) {
      this.#value = decode(this.#text);
      this.#text = undefined;
    }
    return this.#value;
  }
}

/** True when JSON gives the same value back. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    case "object": {
      if (value === null) return true;
      if (depth === maxDepth) return false;
      if (Array.isArray(value)) {
        for (const item of value) if (!isPlain(item, depth + 1)) return false;
        return true;
      }
      const prototype = Object.getPrototypeOf(value);
      if ((prototype !== Object.prototype && prototype !== null) || "toJSON" in value) return false;
      for (const key in value) {
        if (!Object.hasOwn(value, key)) continue;
        // superjson refuses these; so that both ways refuse the same.
        if (key === "__proto__" || key === "constructor" || key === "prototype") return false;
        if (!isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}
