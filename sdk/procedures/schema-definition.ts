// Schema definition: what is read of the definition that a Zod schema holds of itself. Its kinds are told by `type`.
import type { z } from "zod";

/** Kinds that a reader does not know are leaves. */
export interface SchemaDefinition {
  type: string;
  coerce?: boolean;
  innerType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
  catchall?: z.ZodType;
  element?: z.ZodType;
  items?: z.ZodType[];
  rest?: z.ZodType | null;
  options?: z.ZodType[];
  discriminator?: string;
  keyType?: z.ZodType;
  valueType?: z.ZodType;
  left?: z.ZodType;
  right?: z.ZodType;
  in?: z.ZodType;
  out?: z.ZodType;
  /** Of a codec. */
  transform?: unknown;
  /** Of a template literal. */
  parts?: unknown[];
  getter?: () => z.ZodType;
  values?: unknown[];
  entries?: Record<string, unknown>;
}

export function definitionOf(schema: z.ZodType): SchemaDefinition {
  return schema._zod.def as unknown as SchemaDefinition;
}
