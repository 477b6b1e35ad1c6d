// OTLP's AnyValue as text, the way the OpenTelemetry Collector's ClickHouse exporter writes it.
import { MalformedProtobuf, type ProtobufCursor } from "./protobuf.ts";

/** Deepest nesting of arrays and lists; deeper ones are malformed. */
const depthLimit = 32;

/** A value of JSON, or a BigInt where an integer does not fit a number. */
type Value = null | string | number | boolean | bigint | Value[] | { [key: string]: Value };

/** AnyValue at the cursor's message, as text: texts as they are, bytes as base64, arrays and lists as JSON. */
export function protobufValueText(cursor: ProtobufCursor): string {
  return valueText(protobufValue(cursor, 0));
}

function protobufValue(cursor: ProtobufCursor, depth: number): Value {
  if (depth > depthLimit) throw new MalformedProtobuf(`a value is nested deeper than ${depthLimit}`);
  let value: Value = null;
  while (cursor.next()) {
    if (cursor.field === 1) {
      cursor.range();
      value = cursor.text();
    } else if (cursor.field === 2) value = cursor.varint() !== 0;
    else if (cursor.field === 3) value = small(cursor.bigVarint());
    else if (cursor.field === 4) value = cursor.double();
    else if (cursor.field === 5) {
      cursor.range();
      value = protobufArray(cursor.inside(), depth);
    } else if (cursor.field === 6) {
      cursor.range();
      value = protobufList(cursor.inside(), depth);
    } else if (cursor.field === 7) {
      cursor.range();
      value = Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString("base64");
    } else cursor.skip();
  }
  return value;
}

function protobufArray(cursor: ProtobufCursor, depth: number): Value[] {
  const values: Value[] = [];
  while (cursor.next()) {
    if (cursor.field === 1) {
      cursor.range();
      values.push(protobufValue(cursor.inside(), depth + 1));
    } else cursor.skip();
  }
  return values;
}

function protobufList(cursor: ProtobufCursor, depth: number): Value {
  const entries: Array<[string, Value]> = [];
  while (cursor.next()) {
    if (cursor.field !== 1) {
      cursor.skip();
      continue;
    }
    cursor.range();
    const entry = cursor.inside();
    let key = "";
    let value: Value = null;
    while (entry.next()) {
      if (entry.field === 1) {
        entry.range();
        key = entry.text();
      } else if (entry.field === 2) {
        entry.range();
        value = protobufValue(entry.inside(), depth + 1);
      } else entry.skip();
    }
    entries.push([key, value]);
  }
  return Object.fromEntries(entries);
}

/** AnyValue of OTLP/JSON (`{"stringValue": "x"}`) as text. What is none is an empty text. */
export function jsonValueText(value: unknown): string {
  return valueText(jsonValue(value, 0));
}

/** An integer of JSON that has lost digits, because it was written as a number and not as a text. */
export class InexactInteger extends Error {
  override name = "InexactInteger";
}

function jsonValue(any: unknown, depth: number): Value {
  if (typeof any !== "object" || any === null) return null;
  if (depth > depthLimit) throw new Error(`a value is nested deeper than ${depthLimit}`);
  const value = any as Record<string, unknown>;
  if (typeof value.stringValue === "string") return value.stringValue;
  if (typeof value.boolValue === "boolean") return value.boolValue;
  // 64-bit integers are texts in protobuf's JSON; numbers are accepted.
  if (typeof value.intValue === "string") {
    const number = Number(value.intValue);
    return Number.isSafeInteger(number) ? number : value.intValue;
  }
  if (typeof value.intValue === "number") {
    if (Number.isInteger(value.intValue) && !Number.isSafeInteger(value.intValue)) throw new InexactInteger();
    return value.intValue;
  }
  if (typeof value.doubleValue === "number") return value.doubleValue;
  // NaN and the infinities are texts in protobuf's JSON.
  if (typeof value.doubleValue === "string") return Number(value.doubleValue);
  if (typeof value.bytesValue === "string") return value.bytesValue;
  if (isObject(value.arrayValue)) {
    return list(value.arrayValue.values).map((item) => jsonValue(item, depth + 1));
  }
  if (isObject(value.kvlistValue)) {
    return Object.fromEntries(
      list(value.kvlistValue.values).map((item) =>
        isObject(item) ? [String(item.key), jsonValue(item.value, depth + 1)] : ["", null],
      ),
    );
  }
  return null;
}

function valueText(value: Value): string {
  if (typeof value === "string") return value;
  if (value === null) return "";
  if (typeof value === "object") {
    return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner));
  }
  return String(value);
}

function small(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value where it is an array, else an empty one: OTLP/JSON may leave out empty lists. */
export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
