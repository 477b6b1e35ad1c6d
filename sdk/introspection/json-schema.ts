// JSON Schema: the contracts of an app as data, and what of them the checks of a composed workflow can see.
import { z } from "zod";

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema | boolean;
  readonly prefixItems?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly $ref?: string;
  /** `.meta({ sensitive: true })` */
  readonly sensitive?: boolean;
  readonly [key: string]: unknown;
}

/**
 * What a caller passes (`input`) or gets (`output`). A type that JSON Schema does not have (a Date, a custom check) is `{}`,
 * which says nothing. Sensitive fields have `sensitive: true`.
 */
export function jsonSchemaOf(schema: z.ZodType, side: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: side, unrepresentable: "any", cycles: "ref" }) as {
    $schema?: string;
  };
  return rest as JsonSchema;
}

/** The keys that an object of this schema can have; null when the schema does not tell. */
export function propertiesOf(
  schema: JsonSchema,
): ReadonlyMap<string, { schema: JsonSchema; required: boolean }> | null {
  const parts = schema.allOf ?? (schema.properties || schema.type === "object" ? [schema] : null);
  if (!parts) return null;
  const keys = new Map<string, { schema: JsonSchema; required: boolean }>();
  for (const part of parts) {
    const inner = part === schema ? null : propertiesOf(part);
    for (const [key, value] of inner ?? []) keys.set(key, value);
    for (const [key, value] of Object.entries(part.properties ?? {})) {
      keys.set(key, { schema: value, required: part.required?.includes(key) ?? false });
    }
  }
  return keys;
}
