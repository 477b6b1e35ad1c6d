// Live engine: the engine of an app that is being edited. It stays over reloads, and runs in flight take the newer code for the steps that they have not begun.
import type { Engine } from "../engine/engine.ts";
import { type NodeIr, nodesOf } from "../ir/ir.ts";
import type { Registry } from "../registry.ts";
import type { AnyWorkflow, NodeCode } from "../workflows/definition.ts";

/** Definitions of one workflow that runs may still be on. */
const mostKept = 50;

/** The engine, with a look at every definition that reaches it. */
export function liveEngine(engine: Engine): Engine {
  const known = new Map<string, AnyWorkflow[]>();
  const adopt = (workflow: AnyWorkflow) => {
    const earlier = known.get(workflow.name) ?? [];
    if (earlier.includes(workflow)) return;
    for (const one of earlier) replaceCode(one, workflow);
    known.set(workflow.name, [...earlier, workflow].slice(-mostKept));
    for (const { workflow: child } of workflow.code.values()) if (child) adopt(child);
  };
  return new Proxy(engine, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const [first] = args;
        if (name === "execute" || name === "start") adopt(first as AnyWorkflow);
        if (name === "work") for (const workflow of (first as Registry).workflows.values()) adopt(workflow);
        if (name === "resume" && Array.isArray(first)) for (const workflow of first as AnyWorkflow[]) adopt(workflow);
        return value.apply(target, args);
      };
    },
  });
}

/** The runs of `older` keep its graph; a node that is the same in `newer` runs the newer code from its next start on. */
function replaceCode(older: AnyWorkflow, newer: AnyWorkflow): void {
  const same = new Map(nodesOf(newer.ir).map((node) => [node.id, node]));
  const code = older.code as Map<string, NodeCode>;
  for (const node of nodesOf(older.ir)) {
    const other = same.get(node.id);
    const own = newer.code.get(node.id);
    if (other && own && code.has(node.id) && isSame(node, other)) code.set(node.id, own);
  }
}

function isSame(a: NodeIr, b: NodeIr): boolean {
  if (a.op === "step" && b.op === "step") return a.procedure === b.procedure && a.mapped === b.mapped;
  if (a.op === "call" && b.op === "call") return a.workflow === b.workflow && a.mapped === b.mapped;
  return a.op === b.op;
}
