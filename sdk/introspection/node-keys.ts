// Node keys: what each node of a workflow reads from the scope and writes to it.
import { bodiesOf, type NodeIr } from "../ir/ir.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import { jsonSchemaOf, propertiesOf } from "./json-schema.ts";

/** Names of keys; null where a function decides and nothing can be said. */
export interface NodeKeys {
  readonly reads: readonly string[] | null;
  readonly writes: readonly string[] | null;
}

export function nodeKeys(workflow: AnyWorkflow, node: NodeIr): NodeKeys {
  const code = workflow.code.get(node.id);
  switch (node.op) {
    case "step": {
      const procedure = code?.procedure;
      const reads = node.mapped || !procedure ? null : namesOf(propertiesOf(jsonSchemaOf(procedure.input, "input")));
      const writes = procedure ? namesOf(propertiesOf(jsonSchemaOf(procedure.output, "output"))) : null;
      return { reads, writes: node.as === undefined ? (writes ?? []) : [node.as] };
    }
    case "run":
      return { reads: null, writes: node.as === undefined ? null : [node.as] };
    case "each":
    case "waitFor":
    case "approve":
      return { reads: node.op === "approve" || (node.op === "waitFor" && !node.keyed) ? [] : null, writes: [node.id] };
    case "sleep":
      return { reads: node.mapped ? null : [], writes: [] };
    case "call":
      return { reads: null, writes: [node.as ?? node.workflow] };
    case "parallel":
      return union(node.branches.map((branch) => nodeKeys(workflow, branch)));
    default:
      // A predicate may read anything.
      return {
        reads: null,
        writes: union(bodiesOf(node).flatMap((nodes) => nodes.map((inner) => nodeKeys(workflow, inner)))).writes,
      };
  }
}

function namesOf(keys: ReadonlyMap<string, unknown> | null): string[] | null {
  return keys && [...keys.keys()];
}

function union(all: readonly NodeKeys[]): NodeKeys {
  const join = (side: "reads" | "writes") =>
    all.some((one) => one[side] === null) ? null : [...new Set(all.flatMap((one) => one[side] ?? []))];
  return { reads: join("reads"), writes: join("writes") };
}
