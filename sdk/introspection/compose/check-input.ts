// Check input: what the scope or a mapping gives, held to what a procedure or a workflow takes.
import { likelyMeant } from "../../nearest.ts";
import { type JsonSchema, propertiesOf } from "../json-schema.ts";
import type { Mapping } from "./definition.ts";
import { misfit, schemaOf, typesOf } from "./fits.ts";
import type { Problems } from "./problems.ts";
import { typedAt } from "./schema-at.ts";
import type { Scope } from "./scope.ts";

/** Holds what the scope or the mapping gives to what the input wants. */
export function checkInput(
  problems: Problems,
  input: JsonSchema,
  mapping: Mapping | undefined,
  scope: Scope,
  path: string,
  who: string,
): void {
  const wanted = propertiesOf(input);
  if (!wanted) {
    if (typesOf(input)?.some((type) => type !== "object")) {
      problems.add(path, "type_mismatch", `${who} takes no object`, "use a procedure whose input is an object");
    }
    return;
  }
  for (const key of Object.keys(mapping ?? {})) {
    if (wanted.has(key)) continue;
    const near = likelyMeant(key, wanted.keys());
    const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
    problems.add(`${path}.with.${key}`, "unknown_name", `${who} has no input "${key}"`, fix);
  }
  for (const [key, { schema, required }] of wanted) {
    const at = mapping ? `${path}.with.${key}` : path;
    const from = mapping ? (Object.hasOwn(mapping, key) ? mapping[key] : undefined) : `$.${key}`;
    if (from === undefined || (!mapping && !scope.has(key))) {
      if (required) {
        const known = [...scope.keys()].map((one) => `$.${one}`).join(", ") || "nothing";
        const what = mapping ? "which `with` does not give" : "which neither the input nor an earlier node provides";
        problems.add(at, "missing_key", `${who} needs "${key}", ${what}`, `map it with { with }; there is ${known}`);
      }
      continue;
    }
    if (typeof from === "string") typedAt(problems, from, schema, scope, at, required);
    else {
      const why = misfit(schemaOf(from.value), schema);
      if (why) problems.add(at, "type_mismatch", `the value of "${key}" does not fit: ${why}`, "give another value");
    }
  }
}
