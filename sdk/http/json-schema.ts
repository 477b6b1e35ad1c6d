// JSON Schema: contracts as they are on the wire, with what `.meta({ id })` names, and what contains itself, as components.
import { z } from "zod";
import type { SchemaDefinition } from "../procedures/schema-definition.ts";

export type JsonSchema = Record<string, unknown>;

export class Schemas {
  /** `components.schemas` of the document. */
  readonly components: Record<string, JsonSchema> = {};

  of(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    const made = this.#convert(schema, io);
    const { $schema: _, $defs = {}, ...root } = made as JsonSchema & { $defs?: Record<string, JsonSchema> };
    const names = new Map<string, string>();
    for (const [id, definition] of Object.entries($defs)) names.set(`#/$defs/${id}`, this.#nameOf(id, definition));
    // A contract that contains itself names its root.
    const containsItself = JSON.stringify(root).includes('"$ref":"#"');
    if (containsItself) names.set("#", this.#nameOf("Recursive", root));
    for (const [id, definition] of Object.entries($defs)) {
      const { id: _id, $id: _$id, ...rest } = definition;
      this.components[names.get(`#/$defs/${id}`)!] = rename(rest, names) as JsonSchema;
    }
    const renamed = rename(root, names) as JsonSchema;
    if (!containsItself) return renamed;
    const name = names.get("#")!;
    this.components[name] = renamed;
    return { $ref: `#/components/schemas/${name}` };
  }

  /** The id itself, or with a number where the same id is another schema already: coming in and going out may differ. */
  #nameOf(id: string, definition: JsonSchema): string {
    const plain = id.replace(/[^\w.-]/g, "_").replace(/^__schema/, "Schema");
    const text = JSON.stringify(definition);
    for (let count = 1; ; count++) {
      const name = count === 1 ? plain : `${plain}${count}`;
      const there = this.#known.get(name);
      if (there === undefined || there === text) {
        this.#known.set(name, text);
        return name;
      }
    }
  }
  readonly #known = new Map<string, string>();

  #convert(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    return z.toJSONSchema(schema, {
      io,
      target: "draft-2020-12",
      unrepresentable: "any",
      cycles: "ref",
      override: ({ zodSchema, jsonSchema }) => {
        const definition = zodSchema._zod.def as unknown as SchemaDefinition;
        Object.assign(jsonSchema, this.#wireOf(definition, io));
        const it = jsonSchema as JsonSchema;
        if (it.sensitive === true) it["x-sensitive"] = true;
        delete it.sensitive;
      },
    }) as JsonSchema;
  }

  /** What JSON Schema has no word for, as `json.ts` writes it. */
  #wireOf(definition: SchemaDefinition, io: "input" | "output"): JsonSchema {
    const inner = (schema: z.ZodType): JsonSchema => this.of(schema, io);
    switch (definition.type) {
      case "date":
        return definition.coerce && io === "input" ? {} : { type: "string", format: "date-time" };
      case "bigint":
        return { type: "string", pattern: "^-?(0|[1-9][0-9]*)$" };
      case "set":
        return { type: "array", uniqueItems: true, items: inner(definition.valueType!) };
      case "map": {
        // Not `prefixItems`, which tools of OpenAPI 3.0 stumble over.
        const items = { anyOf: [inner(definition.keyType!), inner(definition.valueType!)] };
        return { type: "array", items: { type: "array", minItems: 2, maxItems: 2, items } };
      }
      case "file":
        return { type: "string", format: "binary" };
      default:
        return {};
    }
  }
}

function rename(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (names.size === 0) return value;
  if (Array.isArray(value)) return value.map((item) => rename(item, names));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const name = key === "$ref" && typeof item === "string" ? names.get(item) : undefined;
      return [key, name === undefined ? rename(item, names) : `#/components/schemas/${name}`];
    }),
  );
}

/** The keys of an object's schema, also of one of several; `required` holds those that all of them ask for. */
export function propertiesOf(
  schema: JsonSchema,
  components: Readonly<Record<string, JsonSchema>>,
): { properties: Record<string, JsonSchema>; required: Set<string> } {
  if (typeof schema.$ref === "string") {
    const target = components[schema.$ref.replace("#/components/schemas/", "")];
    return target ? propertiesOf(target, components) : { properties: {}, required: new Set() };
  }
  const all = (schema.allOf as JsonSchema[] | undefined)?.map((one) => propertiesOf(one, components));
  const any = ((schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined)?.map((one) => propertiesOf(one, components));
  const properties: Record<string, JsonSchema> = { ...(schema.properties as Record<string, JsonSchema> | undefined) };
  const required = new Set<string>((schema.required as string[] | undefined) ?? []);
  for (const one of all ?? []) {
    Object.assign(properties, one.properties);
    for (const key of one.required) required.add(key);
  }
  if (any && any.length > 0) {
    for (const key of new Set(any.flatMap((one) => Object.keys(one.properties)))) {
      const variants = any.flatMap((one) => (one.properties[key] ? [one.properties[key]] : []));
      properties[key] = variants.length === 1 ? variants[0]! : { anyOf: variants };
    }
    for (const key of any[0]!.required) if (any.every((one) => one.required.has(key))) required.add(key);
  }
  return { properties, required };
}
