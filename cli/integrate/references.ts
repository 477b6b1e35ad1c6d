// References: what a document's `$ref` stands for, and schemas that come back to themselves with nothing in between.
import { TsdevError } from "../../sdk/errors.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document of others; every field is looked at before it is used
type Json = any;

/** The value itself, or what it refers to; undefined for what is outside of the document. */
export function follow(document: Json, value: Json): Json {
  let found = value;
  for (let depth = 0; typeof found?.$ref === "string" && depth < 20; depth++) found = pointed(document, found.$ref);
  return found;
}

function pointed(document: Json, reference: string): Json {
  if (!reference.startsWith("#/")) return undefined;
  return reference
    .slice(2)
    .split("/")
    .map((part: string) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((at: Json, part: string) => (at && Object.hasOwn(at, part) ? at[part] : undefined), document);
}

/**
 * Changes the document. Of a family (`Pet` is one of `Cat` and `Dog`, and `Cat` is all of `Pet` and more) the member
 * gets what the parent has beside its choice, as is meant: word for word the two would be checked by one another without
 * end. Throws `invalid_input` naming the place where a schema comes back to itself by `$ref`, `allOf`, `anyOf` and
 * `oneOf` alone in any other way: there is no value that such a contract could begin with.
 */
export function settleSelfReferences(document: Json): void {
  for (const schema of Object.values<Json>(document.components?.schemas ?? {})) {
    for (const part of inPlace(schema)) {
      if (!Array.isArray(part.allOf)) continue;
      part.allOf = part.allOf.map((one: Json) => {
        const parent = follow(document, one);
        if (typeof one?.$ref !== "string" || !(parent?.oneOf || parent?.anyOf)) return one;
        if (!reaches(document, parent, schema)) return one;
        const { oneOf: _oneOf, anyOf: _anyOf, discriminator: _discriminator, ...others } = parent;
        return others;
      });
    }
  }
  refuseCycles(document);
}

/** The schema and those that a value of it is checked by too, references not followed. */
function inPlace(schema: Json): Json[] {
  if (typeof schema !== "object" || schema === null) return [];
  const parts = [schema.allOf, schema.anyOf, schema.oneOf].filter(Array.isArray).flat();
  return [schema, ...parts.flatMap(inPlace)];
}

/** What a value of the schema is checked by next. */
function next(document: Json, schema: Json): Json[] {
  const parts = [schema.allOf, schema.anyOf, schema.oneOf].filter(Array.isArray).flat();
  if (typeof schema.$ref === "string") parts.push(pointed(document, schema.$ref));
  return parts.filter((one) => typeof one === "object" && one !== null);
}

function reaches(document: Json, from: Json, to: Json): boolean {
  const seen = new Set<Json>();
  const look = (schema: Json): boolean => {
    if (schema === to) return true;
    if (seen.has(schema)) return false;
    seen.add(schema);
    return next(document, schema).some(look);
  };
  return look(from);
}

function refuseCycles(document: Json): void {
  const clear = new Set<Json>();
  const refuse = (schema: Json, path: string, above: Set<Json>) => {
    if (clear.has(schema)) return;
    if (above.has(schema)) {
      throw new TsdevError("invalid_input", {
        message: `the schema ${path} refers only to itself, so no value can be checked by it`,
        fix: "give it a type of its own, or take the reference out of it",
        path,
      });
    }
    above.add(schema);
    for (const one of next(document, schema)) refuse(one, path, above);
    above.delete(schema);
    clear.add(schema);
  };
  const walk = (value: Json, path: string) => {
    if (typeof value !== "object" || value === null) return;
    if (!Array.isArray(value)) refuse(value, path, new Set());
    for (const [key, item] of Object.entries(value)) {
      walk(item, `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
    }
  };
  // Those with a name first, so that the error has it.
  walk(document.components?.schemas, "#/components/schemas");
  walk(document, "#");
}
