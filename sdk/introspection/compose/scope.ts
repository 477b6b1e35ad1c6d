// Scope: the keys that a node sees, each with its schema, and how nodes and branches add to them.
import type { JsonSchema } from "../json-schema.ts";
import type { Problems } from "./problems.ts";

export interface Entry {
  readonly schema: JsonSchema;
  readonly required: boolean;
}
export type Scope = ReadonlyMap<string, Entry>;

/** The scope with one key more, which must not be there before. */
export function written(problems: Problems, scope: Scope, key: string, entry: Entry, path: string): Scope {
  if (scope.has(key)) {
    problems.add(
      path,
      "key_written_twice",
      `"${key}" is already in the scope`,
      "nest this output with { as }, or rename the node",
    );
  }
  return new Map(scope).set(key, entry);
}

/** After branches: a key that not all of them add may be missing. */
export function merged(before: Scope, ends: readonly Scope[]): Scope {
  const after = new Map(before);
  for (const key of new Set(ends.flatMap((end) => [...end.keys()]))) {
    if (before.has(key)) continue;
    const entries = ends.map((end) => end.get(key));
    const schemas = entries.flatMap((entry) => (entry ? [entry.schema] : []));
    const [only] = schemas;
    const required = entries.every((entry) => entry?.required === true);
    after.set(key, { schema: schemas.length === 1 && only ? only : { anyOf: schemas }, required });
  }
  return after;
}

/** An object of these entries. */
export function objectOf(entries: readonly (readonly [string, Entry])[]): JsonSchema {
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, { schema }]) => [key, schema])),
    required: entries.filter(([, { required }]) => required).map(([key]) => key),
  };
}
