// Redaction: a copy of a value without what its contract marks by `.meta({ sensitive: true })`.
import type { z } from "zod";

export const redacted = "[redacted]";

/** What the walk reads of a Zod schema's definition; kinds it does not know are leaves. */
interface Definition {
  type: string;
  innerType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
  catchall?: z.ZodType;
  element?: z.ZodType;
  items?: z.ZodType[];
  rest?: z.ZodType | null;
  options?: z.ZodType[];
  keyType?: z.ZodType;
  valueType?: z.ZodType;
  left?: z.ZodType;
  right?: z.ZodType;
  in?: z.ZodType;
  out?: z.ZodType;
  getter?: () => z.ZodType;
}

/** The value with every sensitive place replaced; the value itself is not touched. */
export function redact(schema: z.ZodType, value: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (schema.meta()?.sensitive === true) return redacted;
  const definition = schema._zod.def as unknown as Definition;
  const through = (schemas: readonly (z.ZodType | null | undefined)[]) =>
    schemas.reduce((current: unknown, inner) => (inner ? redact(inner, current) : current), value);
  switch (definition.type) {
    case "object":
      return redactObject(definition, value);
    case "array":
      return Array.isArray(value) ? value.map((item) => redact(definition.element!, item)) : value;
    case "tuple":
      if (!Array.isArray(value)) return value;
      return value.map((item, index) => {
        const inner = definition.items?.[index] ?? definition.rest;
        return inner ? redact(inner, item) : item;
      });
    case "record":
      if (typeof value !== "object") return value;
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redact(definition.valueType!, item)]));
    case "map":
      if (!(value instanceof Map)) return value;
      return new Map(
        [...value].map(([key, item]) => [redact(definition.keyType!, key), redact(definition.valueType!, item)]),
      );
    case "set":
      return value instanceof Set ? new Set([...value].map((item) => redact(definition.valueType!, item))) : value;
    // Which option fits is not known: what any of them hides is hidden.
    case "union":
      return through(definition.options ?? []);
    case "intersection":
      return through([definition.left, definition.right]);
    case "pipe":
      return through([definition.in, definition.out]);
    case "lazy":
      return through([definition.getter?.()]);
    default:
      return through([definition.innerType]);
  }
}

function redactObject(definition: Definition, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const inner = definition.shape?.[key] ?? definition.catchall;
      return [key, inner ? redact(inner, item) : item];
    }),
  );
}
