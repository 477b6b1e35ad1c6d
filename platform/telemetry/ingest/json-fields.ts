// Fields of OTLP/JSON: what protobuf's JSON allows for them, and what is refused because it would be lost in silence.
import { InexactInteger, isObject, jsonValueText } from "./any-value.ts";
import { attributeBytes, attributeLimit, droppedAttribute } from "./attribute-limits.ts";
import type { RowBinary } from "./row-binary.ts";

/** An object of a request, as far as it is what it should be. */
export type Fields = Record<string, unknown>;

const none: Fields = {};

/**
 * The items of a list; a field that is left out or null is an empty one. Throws where it is no list, and where its name is
 * written with underscores: OTLP's JSON has lowerCamelCase only, and nothing of such a request would be stored.
 */
export function items(parent: Fields, name: string): unknown[] {
  const value = parent[name];
  if (Array.isArray(value)) return value;
  if (value !== undefined && value !== null) throw new Error(`${name} is not a list`);
  const underscored = underscoredNames[name];
  if (underscored !== undefined && parent[underscored] !== undefined) {
    throw new Error(`${underscored} is written ${name} in OTLP's JSON, as all names are in lowerCamelCase`);
  }
  return [];
}

/** Lists whose loss would be the loss of all that is in them. */
const underscoredNames: Record<string, string> = Object.fromEntries(
  [
    "resourceSpans",
    "scopeSpans",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "resourceMetrics",
    "scopeMetrics",
    "dataPoints",
  ].map((name) => [name, name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]),
);

/** The items of a list that are objects. */
export function objects(parent: Fields, name: string): Fields[] {
  const all = items(parent, name);
  for (const item of all) if (!isObject(item)) return all.filter(isObject);
  return all as Fields[];
}

/**
 * Reads a body of JSON by `read`. JSON's own numbers hold 53 bits: where `read` meets an integer that has more, the body
 * is parsed once more with such integers as texts. Throws what `JSON.parse` and `read` throw.
 */
export function readJson<T>(body: Buffer, read: (request: Fields) => T): T {
  const source = body.toString("utf8");
  const request = (value: unknown): Fields => {
    if (!isObject(value)) throw new Error("the body is not a JSON object");
    return value;
  };
  try {
    return read(request(JSON.parse(source)));
  } catch (error) {
    if (!(error instanceof InexactInteger)) throw error;
    return read(request(JSON.parse(source, exactly)));
  }
}

function exactly(_name: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !Number.isInteger(value)) return value;
  const digits = context?.source ?? "";
  return /^-?\d+$/.test(digits) ? digits : String(BigInt(value));
}

/** The object, or an empty one. */
export function object(value: unknown): Fields {
  return isObject(value) ? value : none;
}

/** KeyValues as a Map column; true where some were cut. `dropped` is how many the sender has left out. */
export function writeAttributes(out: RowBinary, value: unknown, dropped: unknown = 0): boolean {
  const all = Array.isArray(value) ? value : [];
  let count = 0;
  for (const item of all) if (isObject(item)) count++;
  const kept = Math.min(count, attributeLimit);
  const lost = jsonUint32(dropped) + count - kept;
  let cut = kept < count;
  out.varint(lost > 0 ? kept + 1 : kept);
  let written = 0;
  for (const item of all) {
    if (written === kept) break;
    if (!isObject(item)) continue;
    if (out.limitedText(text(item.key), attributeBytes)) cut = true;
    if (out.limitedText(jsonValueText(item.value), attributeBytes)) cut = true;
    written++;
  }
  if (lost > 0) {
    out.text(droppedAttribute);
    out.text(String(lost));
  }
  return cut;
}

/** The text of the attribute of this name, or undefined. */
export function findAttribute(attributes: unknown, name: string): string | undefined {
  if (!Array.isArray(attributes)) return undefined;
  const found = attributes.find((item) => isObject(item) && item.key === name);
  return found === undefined ? undefined : jsonValueText(found.value);
}

/** An id in hexadecimal, as OTLP's JSON has it, other than protobuf's own; null where it is none or of zeros. */
export function jsonId(value: unknown, bytes: number): string | null {
  if (typeof value !== "string" || value.length !== bytes * 2) return null;
  let [upper, any] = [false, false];
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code >= 0x30 && code <= 0x39) any ||= code !== 0x30;
    else if (code >= 0x61 && code <= 0x66) any = true;
    else if (code >= 0x41 && code <= 0x46) {
      any = true;
      upper = true;
    } else return null;
  }
  if (!any) return null;
  return upper ? value.toLowerCase() : value;
}

const max64 = 2n ** 64n;

/** An integer of 64 bits without a sign, as text or number; 0 where it is none. */
export function jsonUint64(value: unknown): bigint {
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) {
    const number = BigInt(value);
    return number < max64 ? number : 0n;
  }
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) {
    if (value > Number.MAX_SAFE_INTEGER) throw new InexactInteger();
    return BigInt(value);
  }
  return 0n;
}

/** An integer of 32 bits without a sign, as number or text; 0 where it is none. */
export function jsonUint32(value: unknown): number {
  return jsonInteger(value, 0, 2 ** 32 - 1);
}

/** An integer of 32 bits with a sign, as number or text; 0 where it is none. */
export function jsonInt32(value: unknown): number {
  return jsonInteger(value, -(2 ** 31), 2 ** 31 - 1);
}

function jsonInteger(value: unknown, least: number, most: number): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most ? number : 0;
}

/** A double as number or text, also `NaN`, `Infinity` and `-Infinity`; 0 where it is none. */
export function jsonDouble(value: unknown): number {
  if (typeof value === "number") return value;
  if (value === "NaN") return Number.NaN;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : 0;
  return Number.isNaN(number) ? 0 : number;
}

/** An enum's number, or its name with the prefix. */
export function jsonEnum(value: unknown, prefix: string, names: readonly string[]): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !value.startsWith(prefix)) return 0;
  const name = value.slice(prefix.length).toLowerCase();
  return Math.max(
    0,
    names.findIndex((candidate) => candidate.toLowerCase() === name),
  );
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
