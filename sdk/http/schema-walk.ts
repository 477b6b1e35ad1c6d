// Schema walk: what the HTTP layer reads of a Zod schema's definition, and the questions it asks of a whole contract.
import type { z } from "zod";
import { definitionOf, type SchemaDefinition } from "../procedures/schema-definition.ts";

/** What a wrapper such as `.optional()` or a pipe's beginning is around; undefined for anything else. */
export function innerOf(definition: SchemaDefinition): z.ZodType | undefined {
  if (definition.type === "lazy") return definition.getter?.();
  if (definition.type === "pipe") return definition.in;
  return definition.innerType;
}

/** The schemas one level below, as a value goes in or comes out. */
export function partsOf(definition: SchemaDefinition, io: "input" | "output"): z.ZodType[] {
  const through =
    definition.type === "pipe"
      ? [io === "input" ? definition.in : definition.out]
      : [definition.innerType, definition.getter?.()];
  return [
    ...through,
    ...Object.values(definition.shape ?? {}),
    definition.catchall,
    definition.element,
    ...(definition.items ?? []),
    definition.rest,
    ...(definition.options ?? []),
    definition.keyType,
    definition.valueType,
    definition.left,
    definition.right,
  ].filter((part): part is z.ZodType => part !== undefined && part !== null);
}

/** True when the contract, or a part of it at any depth, is of one of these types. */
export function contains(schema: z.ZodType, types: ReadonlySet<string>, io: "input" | "output" = "input"): boolean {
  const seen = new Set<z.ZodType>();
  const visit = (part: z.ZodType): boolean => {
    if (seen.has(part)) return false;
    seen.add(part);
    const definition = definitionOf(part);
    return types.has(definition.type) || partsOf(definition, io).some(visit);
  };
  return visit(schema);
}

/** The schemas of a key of an object contract: several where it is a union; none where it is unknown. */
export function fieldsAt(schema: z.ZodType, key: string): z.ZodType[] {
  const definition = definitionOf(schema);
  if (definition.type === "object") {
    const field = Object.hasOwn(definition.shape ?? {}, key) ? definition.shape?.[key] : definition.catchall;
    return field ? [field] : [];
  }
  if (definition.type === "record") return definition.valueType ? [definition.valueType] : [];
  const inner = innerOf(definition);
  const parts = inner ? [inner] : partsOf(definition, "input");
  return parts.flatMap((part) => fieldsAt(part, key));
}

/** False only when it is certain that the contract has no such key. */
export function mayHaveKey(schema: z.ZodType, key: string): boolean {
  const definition = definitionOf(schema);
  if (definition.type === "object") return Object.hasOwn(definition.shape ?? {}, key) || !!definition.catchall;
  const inner = innerOf(definition);
  if (inner) return mayHaveKey(inner, key);
  if (definition.type === "union") return (definition.options ?? []).some((option) => mayHaveKey(option, key));
  if (definition.type === "intersection") {
    return [definition.left, definition.right].some((part) => part && mayHaveKey(part, key));
  }
  return true;
}
