// Code for: the code that can carry on a run which began with a given IR, from what this process has.
import { type NodeIr, nodesOf, versionOf, type WorkflowIr } from "../ir/ir.ts";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyWorkflow, NodeCode } from "./definition.ts";

/** The procedures of an app by name, as a registry has them. */
export type Procedures = ReadonlyMap<string, AnyProcedure>;

/**
 * The code by node id for every node of `ir`; undefined when some node cannot be served. It is taken from the definition
 * with exactly this IR where there is one, be it the workflow or one in its `previous`; else for each node from the first
 * definition, newest first, that has it; a step that needs no functions, from the procedure of that name.
 */
export function codeFor(
  workflow: AnyWorkflow,
  ir: WorkflowIr,
  procedures?: Procedures,
): ReadonlyMap<string, NodeCode> | undefined {
  if (workflow.ir === ir) return workflow.code;
  const version = versionOf(ir);
  const exact = newestFirst(workflow).find((one) => one.version === version);
  if (exact) return exact.code;
  const codeOf = finder(workflow, procedures);
  const code = new Map<string, NodeCode>();
  for (const node of nodesOf(ir)) {
    const own = codeOf(node);
    if (own === undefined) return undefined;
    code.set(node.id, own);
  }
  return code;
}

/** The ids of the nodes of `ir` that keep this process from carrying on its runs. */
export function nodesWithoutCode(workflow: AnyWorkflow, ir: WorkflowIr, procedures?: Procedures): string[] {
  const codeOf = finder(workflow, procedures);
  return nodesOf(ir).flatMap((node) => (codeOf(node) ? [] : [node.id]));
}

function finder(workflow: AnyWorkflow, procedures: Procedures | undefined): (node: NodeIr) => NodeCode | undefined {
  const definitions = newestFirst(workflow);
  const ops = definitions.map((one) => new Map(nodesOf(one.ir).map(({ id, op }) => [id, op])));
  return (node) =>
    definitions
      .filter((_, index) => ops[index]?.get(node.id) === node.op)
      .map((one) => one.code.get(node.id))
      .find((one) => one !== undefined && serves(one, node)) ?? fromProcedures(node, procedures);
}

/** True when this process can carry on a run that began with `ir`. */
export function canServe(workflow: AnyWorkflow, ir: WorkflowIr, procedures?: Procedures): boolean {
  return codeFor(workflow, ir, procedures) !== undefined;
}

function newestFirst(workflow: AnyWorkflow): readonly AnyWorkflow[] {
  const found = new Set<AnyWorkflow>();
  const visit = (one: AnyWorkflow) => {
    if (found.has(one)) return;
    found.add(one);
    for (const older of one.previous) visit(older);
  };
  visit(workflow);
  return [...found];
}

/** True when the code has all that the node asks for, and what it names is what the node names. */
function serves(code: NodeCode, node: NodeIr): boolean {
  switch (node.op) {
    case "step":
      return (
        code.procedure?.name === node.procedure &&
        given(code.with) === Boolean(node.mapped) &&
        given(code.cacheKey) >= Boolean(node.cache?.keyed) &&
        given(code.rateLimitKey) >= Boolean(node.rateLimit?.keyed) &&
        (node.compensate === undefined ||
          (code.compensate?.procedure.name === node.compensate.procedure &&
            given(code.compensate.with) === Boolean(node.compensate.mapped)))
      );
    case "run":
      return (
        given(code.run) &&
        given(code.cacheKey) >= Boolean(node.cache?.keyed) &&
        given(code.rateLimitKey) >= Boolean(node.rateLimit?.keyed)
      );
    case "when":
    case "match":
    case "each":
    case "repeat":
      return given(code.decide);
    case "sleep":
      return given(code.decide) || !node.mapped;
    case "waitFor":
      return code.event?.name === node.event && given(code.decide) === Boolean(node.keyed);
    case "call":
      return code.workflow?.name === node.workflow && given(code.with) === Boolean(node.mapped);
    case "parallel":
    case "approve":
      return true;
  }
}

function given(code: unknown): boolean {
  return code !== undefined;
}

/** Nodes that need no function of the author but a procedure. */
function fromProcedures(node: NodeIr, procedures: Procedures | undefined): NodeCode | undefined {
  if (node.op === "approve" || node.op === "parallel" || (node.op === "sleep" && !node.mapped)) {
    return { source: undefined };
  }
  if (node.op !== "step" || node.mapped || node.cache?.keyed || node.rateLimit?.keyed) return undefined;
  const procedure = procedures?.get(node.procedure);
  if (procedure === undefined) return undefined;
  if (node.compensate === undefined) return { procedure, source: procedure.source };
  const undo = node.compensate.mapped ? undefined : procedures?.get(node.compensate.procedure);
  return undo && { procedure, compensate: { procedure: undo }, source: procedure.source };
}
