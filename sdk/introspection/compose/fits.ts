// Fits: whether a value of one JSON Schema may stand where another is wanted, as far as schemas show it.
import { type JsonSchema, propertiesOf } from "../json-schema.ts";

/** A sentence that says why it cannot be; undefined when it fits, or when the schemas do not tell. */
export function misfit(given: JsonSchema, wanted: JsonSchema): string | undefined {
  const [has, needs] = [typesOf(given), typesOf(wanted)];
  if (!has || !needs) return undefined;
  const over = has.filter((type) => !needs.includes(type) && !(type === "integer" && needs.includes("number")));
  if (over.length > 0) return `it is ${has.join(" or ")}, and ${needs.join(" or ")} is wanted`;
  const [values, allowed] = [valuesOf(given), valuesOf(wanted)];
  if (allowed) {
    if (!values)
      return `it is any ${has.join(" or ")}, and one of ${allowed.map((one) => JSON.stringify(one)).join(", ")} is wanted`;
    const strange = values.find((value) => !allowed.includes(value));
    if (strange !== undefined)
      return `it may be ${JSON.stringify(strange)}, and one of ${allowed.map((one) => JSON.stringify(one)).join(", ")} is wanted`;
  }
  if (typeof given.items === "object" && typeof wanted.items === "object") {
    const inner = misfit(given.items, wanted.items);
    if (inner) return `of its items: ${inner}`;
  }
  const [own, asked] = [propertiesOf(given), propertiesOf(wanted)];
  if (!own || !asked || has.includes("array")) return undefined;
  for (const [key, { schema, required }] of asked) {
    const there = own.get(key);
    if (!there) {
      if (required) return `its "${key}" is missing`;
      continue;
    }
    if (required && !there.required) return `its "${key}" may be missing`;
    const inner = misfit(there.schema, schema);
    if (inner) return `of its "${key}": ${inner}`;
  }
  return undefined;
}

/** Undefined: it may be anything, or the schema does not tell. */
export function typesOf(schema: JsonSchema): string[] | undefined {
  const parts = schema.anyOf ?? schema.oneOf;
  if (parts) {
    const all = parts.map(typesOf);
    return all.some((one) => one === undefined) ? undefined : [...new Set(all.flatMap((one) => one ?? []))];
  }
  if (schema.type !== undefined) return typeof schema.type === "string" ? [schema.type] : [...schema.type];
  const values = valuesOf(schema);
  return values && [...new Set(values.map((value) => (value === null ? "null" : typeof value)))];
}

/** The values of an enumeration. */
export function valuesOf(schema: JsonSchema): readonly unknown[] | undefined {
  return "const" in schema ? [schema.const] : schema.enum;
}

/** The schema of a JSON value. */
export function schemaOf(value: unknown): JsonSchema {
  if (Array.isArray(value)) return { type: "array" };
  if (value === null) return { type: "null" };
  if (typeof value !== "object") {
    return { type: Number.isInteger(value) ? "integer" : (typeof value as "string"), const: value };
  }
  const entries = Object.entries(value);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, one]) => [key, schemaOf(one)])),
    required: entries.map(([key]) => key),
  };
}
