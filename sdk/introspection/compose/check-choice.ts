// Check choice: comparisons and cases, held to the values that can stand where they look.
import { likelyMeant } from "../../nearest.ts";
import type { JsonSchema } from "../json-schema.ts";
import type { Comparison } from "./definition.ts";
import { typesOf, valuesOf } from "./fits.ts";
import type { Problems } from "./problems.ts";
import { schemaAt } from "./schema-at.ts";
import type { Scope } from "./scope.ts";

export function checkComparison(
  problems: Problems,
  { path: from, op, value }: Comparison,
  scope: Scope,
  path: string,
): void {
  const list = Array.isArray(value);
  if ((op === "exists") !== (value === undefined) || list !== (op === "in")) {
    const needs = op === "exists" ? "no value" : op === "in" ? "a list of values" : "one value";
    problems.add(path, "invalid_definition", `"${op}" takes ${needs}`, "correct value");
    return;
  }
  const ordered = op !== "exists" && !["eq", "ne", "in"].includes(op);
  const schema = schemaAt(problems, from, scope, `${path}.path`, ordered);
  if (!schema || op === "exists") return;
  for (const one of list ? value : [value]) {
    const types = typesOf(schema);
    const kind = one === null ? "null" : typeof one;
    const fits = !types || types.some((type) => type === kind || (type === "integer" && kind === "number"));
    const known = valuesOf(schema);
    if (!fits || (known && !known.includes(one)) || (ordered && kind !== "number" && kind !== "string")) {
      const message = `${from} is ${known ? known.map((each) => JSON.stringify(each)).join(" or ") : types?.join(" or ")}, which ${JSON.stringify(one)} is not comparable with`;
      problems.add(`${path}.value`, "type_mismatch", message, "compare it with a value that it can have");
    }
  }
}

export function checkCases(
  problems: Problems,
  node: { cases: Record<string, unknown>; otherwise?: unknown; value: string },
  value: JsonSchema | undefined,
  path: string,
): void {
  if (!value) return;
  const known = valuesOf(value)?.map(String);
  const names = Object.keys(node.cases);
  for (const name of names) {
    if (!known || known.includes(name)) continue;
    const near = likelyMeant(name, known);
    const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
    problems.add(`${path}.cases.${name}`, "unknown_name", `${node.value} is never "${name}"`, fix);
  }
  if (node.otherwise !== undefined) return;
  const open = known ? known.filter((one) => !names.includes(one)) : ["anything else"];
  if (open.length === 0) return;
  problems.add(path, "missing_key", `no case for ${open.join(", ")}`, "add the cases, or otherwise");
}
