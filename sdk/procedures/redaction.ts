// Redaction: a value without what its contract marks by `.meta({ sensitive: true })`.
import type { z } from "zod";
import { definitionOf, type SchemaDefinition } from "./schema-definition.ts";

export const redacted = "[redacted]";

/** Deeper than this everything is hidden, so that a value that holds itself comes to an end. */
const maxDepth = 100;

/**
 * The value with every sensitive place replaced, at any depth: in objects (and their catchall), arrays, tuples, records,
 * maps and sets, through optional, nullable, default, prefault, catch, readonly, pipe, lazy and recursive schemas. The
 * value is not touched; parts in which nothing is sensitive are the same objects.
 *
 * Maps and sets may also be as JSON brings them, as lists.
 *
 * Where the contract alone does not tell, more is hidden rather than less: of unions and intersections what any option
 * hides, what is of another kind than a contract that hides something in it, and the whole value where a transform, a
 * preprocess, a codec or a template literal stands over something sensitive, since nobody knows where it went.
 */
export function redact(schema: z.ZodType, value: unknown): unknown {
  return walk(schema, value, 0);
}

function walk(schema: z.ZodType, value: unknown, depth: number): unknown {
  if (value === undefined || value === null || !holdsSensitive(schema)) return value;
  if (isSensitive(schema) || depth > maxDepth) return redacted;
  const definition = definitionOf(schema);
  const into = (inner: z.ZodType | null | undefined, item: unknown) => (inner ? walk(inner, item, depth + 1) : item);
  const pairOf = (pair: unknown) =>
    Array.isArray(pair) ? [into(definition.keyType, pair[0]), into(definition.valueType, pair[1])] : redacted;
  const through = (schemas: readonly (z.ZodType | null | undefined)[]) =>
    schemas.reduce((current: unknown, inner) => into(inner, current), value);
  switch (definition.type) {
    case "object":
      return isRecord(value) ? mapEntries(value, (key, item) => [key, into(fieldOf(definition, key), item)]) : redacted;
    case "array":
      return Array.isArray(value) ? value.map((item) => into(definition.element, item)) : redacted;
    case "tuple":
      if (!Array.isArray(value)) return redacted;
      return value.map((item, index) => into(definition.items?.[index] ?? definition.rest, item));
    case "record":
      return isRecord(value)
        ? mapEntries(value, (key, item) => [String(into(definition.keyType, key)), into(definition.valueType, item)])
        : redacted;
    case "map":
      if (value instanceof Map) return new Map([...value].map((pair) => pairOf(pair) as [unknown, unknown]));
      return Array.isArray(value) ? value.map(pairOf) : redacted;
    case "set":
      if (value instanceof Set) return new Set([...value].map((item) => into(definition.valueType, item)));
      return Array.isArray(value) ? value.map((item) => into(definition.valueType, item)) : redacted;
    // Which option fits is not known, but those of another kind do not.
    case "union": {
      const options = (definition.options ?? []).filter((option) => mayBe(option, value));
      return options.length === 0 ? redacted : through(options);
    }
    case "intersection":
      return through([definition.left, definition.right]);
    case "pipe":
      return changesValues(schema) ? redacted : through([definition.in, definition.out]);
    case "template_literal":
      return redacted;
    case "lazy":
      return through([definition.getter?.()]);
    default:
      return through([definition.innerType]);
  }
}

/** Whether the value is of the kind that the contract asks for; true where looking at it does not tell. */
function mayBe(option: z.ZodType, value: unknown): boolean {
  switch (definitionOf(option).type) {
    case "object":
    case "record":
      return isRecord(value);
    case "array":
    case "tuple":
      return Array.isArray(value);
    case "map":
    case "set":
      return value instanceof Map || value instanceof Set || Array.isArray(value);
    default:
      return true;
  }
}

function isSensitive(schema: z.ZodType): boolean {
  return schema.meta()?.sensitive === true;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldOf({ shape, catchall }: SchemaDefinition, key: string): z.ZodType | undefined {
  return shape && Object.hasOwn(shape, key) ? shape[key] : catchall;
}

function mapEntries(
  value: Record<string, unknown>,
  change: (key: string, item: unknown) => [string, unknown],
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, item]) => change(key, item)));
}

/** Whether a function of the author stands between what goes in and what comes out. */
function changesValues(schema: z.ZodType): boolean {
  const definition = definitionOf(schema);
  if (definition.type === "transform" || definition.transform !== undefined) return true;
  return definition.type === "pipe" && [definition.in, definition.out].some((side) => side && changesValues(side));
}

const known = new WeakMap<z.ZodType, boolean>();

/** Whether anything within the schema is sensitive. */
export function holdsSensitive(schema: z.ZodType): boolean {
  let holds = known.get(schema);
  if (holds === undefined) {
    holds = search(schema, new Set());
    known.set(schema, holds);
  }
  return holds;
}

/** Whether anything under this key of the value is sensitive; also where the contract alone does not tell. */
export function holdsSensitiveUnder(schema: z.ZodType, key: string, depth = 0): boolean {
  if (!holdsSensitive(schema)) return false;
  if (isSensitive(schema) || depth > maxDepth || changesValues(schema)) return true;
  const definition = definitionOf(schema);
  if (definition.type === "object") {
    const field = fieldOf(definition, key);
    return field ? holdsSensitive(field) : false;
  }
  if (definition.type === "record") return true;
  return innerOf(definition).some((inner) => holdsSensitiveUnder(inner, key, depth + 1));
}

function search(schema: z.ZodType, seen: Set<z.ZodType>): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  return isSensitive(schema) || innerOf(definitionOf(schema)).some((inner) => search(inner, seen));
}

function innerOf(definition: SchemaDefinition): z.ZodType[] {
  const { innerType, shape, catchall, element, items, rest, options, keyType, valueType, left, right } = definition;
  const one = [innerType, catchall, element, rest, keyType, valueType, left, right, definition.in, definition.out];
  const parts = (definition.parts ?? []).filter((part) => typeof part === "object" && part !== null) as z.ZodType[];
  const all = [...one, ...(items ?? []), ...(options ?? []), ...Object.values(shape ?? {}), ...parts];
  return [...all, definition.getter?.()].filter((inner) => inner !== undefined && inner !== null);
}
