// Decode: makes of what a request can carry (texts, files, JSON) what a contract wants. Which way is derived from the
// schema and never guessed from the value: what does not fit is left as it came, for the contract to refuse with its path.
//
// - text, of a path, a query, a header or a form's field: numbers, booleans, dates, bigints, null, literals, enums; lists
//   as repeated values; objects as JSON.
// - json: dates as RFC 3339, bigints as decimal digits, maps as lists of pairs, sets as lists.
// - Of a union the first option that takes what it makes of the value, as Zod itself would choose; of a discriminated one
//   the option that the discriminator names.
import type { z } from "zod";
import { definitionOf, type SchemaDefinition } from "../procedures/schema-definition.ts";
import { innerOf } from "./schema-walk.ts";

export type Form = "text" | "json";
export type Decode = (value: unknown) => unknown;

const compiled: Record<Form, WeakMap<z.ZodType, Decode | null>> = { text: new WeakMap(), json: new WeakMap() };

/** Undefined: every value is passed on as it is. */
export function decoderOf(schema: z.ZodType, form: Form): Decode | undefined {
  const known = compiled[form].get(schema);
  if (known !== undefined) return known ?? undefined;
  // Stands for itself while it is compiled, for contracts that contain themselves.
  let made: Decode | undefined;
  compiled[form].set(schema, (value) => (made ? made(value) : value));
  made = form === "text" ? textDecoder(schema) : jsonDecoder(schema);
  compiled[form].set(schema, made ?? null);
  return made;
}

/**
 * An object whose keys came by different ways, such as a path and a body. Undefined: nothing to do for the contract,
 * whatever way the keys came.
 */
export function decodeObject(
  schema: z.ZodType,
  raw: Readonly<Record<string, unknown>>,
  formOf: (key: string) => Form,
): unknown {
  const definition = definitionOf(schema);
  if (definition.type === "union") {
    return decodeUnion(definition, raw, (option) => decodeObject(option, raw, formOf));
  }
  if (definition.type === "intersection") {
    const left = decodeObject(definition.left!, raw, formOf) as Record<string, unknown>;
    return decodeObject(definition.right!, left, formOf);
  }
  if (definition.type === "object" || definition.type === "record") {
    const decoded: [string, unknown][] = [];
    for (const [key, value] of Object.entries(raw)) {
      const field = definition.shape
        ? Object.hasOwn(definition.shape, key)
          ? definition.shape[key]
          : definition.catchall
        : definition.valueType;
      decoded.push([key, field ? apply(decoderOf(field, formOf(key)), value) : value]);
    }
    return Object.fromEntries(decoded);
  }
  const inner = innerOf(definition);
  return inner ? decodeObject(inner, raw, formOf) : raw;
}

function apply(decode: Decode | undefined, value: unknown): unknown {
  return decode ? decode(value) : value;
}

function textDecoder(schema: z.ZodType): Decode | undefined {
  const definition = definitionOf(schema);
  switch (definition.type) {
    case "number":
    case "int":
      return definition.coerce ? undefined : ofText(numberOf);
    case "boolean":
      return definition.coerce ? undefined : ofText((text) => booleans[text] ?? text);
    case "bigint":
      return definition.coerce ? undefined : ofText(bigintOf);
    case "date":
      return definition.coerce ? undefined : ofText(dateOf);
    case "null":
      return ofText((text) => (text === "null" ? null : text));
    case "literal":
      return ofText((text) => literalOf(definition.values ?? [], text));
    case "enum":
      return ofText((text) => literalOf(Object.values(definition.entries ?? {}), text));
    case "nullable": {
      const inner = definition.innerType!;
      const decode = decoderOf(inner, "text");
      return (value) => {
        const decoded = apply(decode, value);
        return value === "null" && !accepts(inner, decoded) ? null : decoded;
      };
    }
    case "union":
      return (value) => decodeUnion(definition, value, (option) => apply(decoderOf(option, "text"), value));
    case "intersection":
      return both(definition, "text");
    case "array": {
      const decode = decoderOf(definition.element!, "text");
      return (value) => list(value).map((item) => apply(decode, item));
    }
    case "set": {
      const decode = decoderOf(definition.valueType!, "text");
      return (value) => new Set(list(value).map((item) => apply(decode, item)));
    }
    case "tuple":
      return (value) =>
        list(value).map((item, index) => {
          const inner = definition.items?.[index] ?? definition.rest;
          return inner ? apply(decoderOf(inner, "text"), item) : item;
        });
    case "object":
    case "record":
    case "map":
      return ofText((text) => {
        const parsed = jsonOf(text);
        return parsed === undefined ? text : apply(decoderOf(schema, "json"), parsed);
      });
    default: {
      const inner = innerOf(definition);
      return inner && decoderOf(inner, "text");
    }
  }
}

function jsonDecoder(schema: z.ZodType): Decode | undefined {
  const definition = definitionOf(schema);
  switch (definition.type) {
    case "date":
      return definition.coerce ? undefined : ofText(dateOf);
    case "bigint":
      if (definition.coerce) return undefined;
      return (value) =>
        typeof value === "string" ? bigintOf(value) : Number.isSafeInteger(value) ? BigInt(value as number) : value;
    case "array":
      return ofItems(decoderIn(definition.element!));
    case "set": {
      const decode = decoderOf(definition.valueType!, "json");
      return (value) => (Array.isArray(value) ? new Set(value.map((item) => apply(decode, item))) : value);
    }
    case "map": {
      const [key, item] = [decoderOf(definition.keyType!, "json"), decoderOf(definition.valueType!, "json")];
      return (value) =>
        Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2)
          ? new Map(value.map((pair) => [apply(key, pair[0]), apply(item, pair[1])]))
          : value;
    }
    case "tuple": {
      const items = (definition.items ?? []).map(decoderIn);
      const rest = definition.rest ? decoderIn(definition.rest) : undefined;
      if (!rest && items.every((decode) => decode === undefined)) return undefined;
      return (value) => (Array.isArray(value) ? value.map((item, index) => apply(items[index] ?? rest, item)) : value);
    }
    case "object":
      return ofFields(definition);
    case "record": {
      const decode = decoderIn(definition.valueType!);
      if (!decode) return undefined;
      return (value) =>
        isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)])) : value;
    }
    case "union": {
      if (!(definition.options ?? []).some(decoderIn)) return undefined;
      return (value) => decodeUnion(definition, value, (option) => apply(decoderOf(option, "json"), value));
    }
    case "intersection":
      return both(definition, "json");
    default: {
      const inner = innerOf(definition);
      return inner && decoderIn(inner);
    }
  }
}

const decoderIn = (schema: z.ZodType) => decoderOf(schema, "json");

function both(definition: SchemaDefinition, form: Form): Decode | undefined {
  const [left, right] = [decoderOf(definition.left!, form), decoderOf(definition.right!, form)];
  return left || right ? (value) => apply(right, apply(left, value)) : undefined;
}

function ofItems(decode: Decode | undefined): Decode | undefined {
  return decode && ((value) => (Array.isArray(value) ? value.map(decode) : value));
}

function ofFields(definition: SchemaDefinition): Decode | undefined {
  const fields = Object.entries(definition.shape ?? {}).flatMap(([key, field]) => {
    const decode = decoderIn(field);
    return decode ? [[key, decode] as const] : [];
  });
  const others = definition.catchall && decoderIn(definition.catchall);
  if (fields.length === 0 && !others) return undefined;
  const byKey = new Map(fields);
  return (value) => {
    if (!isObject(value)) return value;
    if (others) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, (byKey.get(key) ?? others)(item)]));
    }
    const decoded = { ...value };
    for (const [key, decode] of fields) if (Object.hasOwn(decoded, key)) decoded[key] = decode(decoded[key]);
    return decoded;
  };
}

function decodeUnion(definition: SchemaDefinition, value: unknown, decode: (option: z.ZodType) => unknown): unknown {
  const options = definition.options ?? [];
  if (definition.discriminator !== undefined && isObject(value)) {
    const named = value[definition.discriminator];
    for (const option of options) {
      const names = option._zod.propValues?.[definition.discriminator];
      // A discriminator in a query is a text, whatever the literal is.
      if (names && [...names].some((name) => name === named || String(name) === named)) return decode(option);
    }
    return value;
  }
  for (const option of options) {
    const decoded = decode(option);
    if (accepts(option, decoded)) return decoded;
  }
  return value;
}

/** An option that can only be asked asynchronously is taken for one that accepts. */
function accepts(schema: z.ZodType, value: unknown): boolean {
  try {
    return schema.safeParse(value).success;
  } catch {
    return true;
  }
}

const ofText =
  (decode: (text: string) => unknown): Decode =>
  (value) =>
    typeof value === "string" ? decode(value) : value;

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const booleans: Readonly<Record<string, boolean>> = Object.assign(Object.create(null), { true: true, false: false });

/** RFC 8259 §6. */
const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const numberOf = (text: string) => (jsonNumber.test(text) ? Number(text) : text);

const bigintOf = (text: string) => (/^-?(?:0|[1-9]\d*)$/.test(text) ? BigInt(text) : text);

/** RFC 3339 §5.6: a full date (midnight UTC), or a date-time with its offset. */
const rfc3339 = /^(\d{4}-\d\d-\d\d)(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d))?$/;

function dateOf(text: string): Date | string {
  const day = rfc3339.exec(text)?.[1];
  if (day === undefined) return text;
  const date = new Date(text.toUpperCase().replace(" ", "T"));
  // Date itself makes the 3rd of March of the 31st of February.
  const isDay = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || Number.isNaN(isDay.getTime())) return text;
  return isDay.toISOString().slice(0, 10) === day ? date : text;
}

function literalOf(values: readonly unknown[], text: string): unknown {
  if (values.includes(text)) return text;
  const index = values.findIndex((value) => String(value) === text);
  return index < 0 ? text : values[index];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
