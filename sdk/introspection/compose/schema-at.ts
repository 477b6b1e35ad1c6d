// Schema at: what stands at a path of the scope, such as `$.order.items[0].sku`.
import { likelyMeant } from "../../nearest.ts";
import { type JsonSchema, propertiesOf } from "../json-schema.ts";
import { misfit } from "./fits.ts";
import type { Problems } from "./problems.ts";
import type { Scope } from "./scope.ts";

/** The schema at a path, held to what is wanted there. */
export function typedAt(
  problems: Problems,
  from: string,
  wanted: JsonSchema,
  scope: Scope,
  path: string,
  required = true,
): JsonSchema | undefined {
  const found = schemaAt(problems, from, scope, path, required);
  const why = found && misfit(found, wanted);
  if (why) problems.add(path, "type_mismatch", `${from} does not fit: ${why}`, "map another value with { with }");
  return found;
}

/** The schema at a path; undefined, with a problem, when the scope has no such place or it may be missing. */
export function schemaAt(
  problems: Problems,
  from: string,
  scope: Scope,
  path: string,
  required = false,
): JsonSchema | undefined {
  const [first = "", ...rest] = [...from.matchAll(/\.(\w+)|\[(\d+)\]/g)].map(([, key, index]) => key ?? Number(index));
  const entry = scope.get(String(first));
  if (!entry) {
    const near = likelyMeant(String(first), scope.keys());
    const fix =
      near === undefined ? `there is ${[...scope.keys()].join(", ") || "nothing"}` : `did you mean "$.${near}"?`;
    problems.add(path, "missing_key", `"${first}" is not in the scope here`, fix);
    return undefined;
  }
  let at: JsonSchema = entry.schema;
  let sure = entry.required;
  for (const part of rest) {
    const keys = typeof part === "string" ? propertiesOf(at) : null;
    if (typeof part === "number") at = typeof at.items === "object" ? at.items : {};
    else if (keys && keys.size > 0) {
      const found = keys.get(part);
      if (!found) {
        const near = likelyMeant(part, keys.keys());
        problems.add(
          path,
          "missing_key",
          `${from}: there is no "${part}"`,
          near ? `did you mean "${near}"?` : "use a key that is there",
        );
        return undefined;
      }
      at = found.schema;
      sure &&= found.required;
    } else at = {};
    sure &&= typeof part !== "number";
  }
  if (!sure) problems.unsure.add(from);
  if (required && !sure) {
    problems.add(
      path,
      "type_mismatch",
      `${from} may be missing`,
      "use it in a branch that asks whether it exists, or another value",
    );
  }
  return at;
}
