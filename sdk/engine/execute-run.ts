// Executes one run over the IR it began with: nodes in order, what is stored already is read and not run again.
import { TsdevError } from "../errors.ts";
import type { NodeIr, RunIr, StepIr } from "../ir/ir.ts";
import type { AnyWorkflow, Scope } from "../workflows/workflow.ts";
import { executeNode, NodeFailed, type NodePlan, type RunFrame } from "./execute-node.ts";
import type { RunStore, StoredRun } from "./run-store.ts";
import { addOutput } from "./scope.ts";

/** The engine is closing: the run stops between two nodes and another worker carries it on. */
export class HandedOver extends Error {}

export interface RunParts {
  readonly run: StoredRun;
  readonly workflow: AnyWorkflow;
  readonly store: RunStore;
  /** Outputs that are stored already, by node id. */
  readonly finished: ReadonlyMap<string, unknown>;
  readonly signal: AbortSignal;
  /** True when no further node is to begin. */
  readonly stopping: () => boolean;
}

/** Runs to the scope at the end. Throws `step_failed`, `canceled`, LeaseLost or HandedOver. */
export async function executeRun(parts: RunParts): Promise<Scope> {
  let scope: Scope = parts.run.scope;
  for (const node of parts.run.ir.nodes) {
    const outputs = await executeAll(parts, node, scope);
    for (const [leaf, output] of outputs) scope = addOutput(scope, leaf, output);
  }
  return scope;
}

type Leaf = StepIr | RunIr;

async function executeAll(parts: RunParts, node: NodeIr, scope: Scope): Promise<(readonly [Leaf, unknown])[]> {
  const leaves: readonly Leaf[] = node.op === "parallel" ? node.branches : [node];
  const settled = await Promise.allSettled(leaves.map((leaf) => executeLeaf(parts, node, leaf, scope)));
  const failure = settled.find((result) => result.status === "rejected");
  if (failure) throw failure.reason;
  return settled.map((result, index) => [leaves[index]!, (result as PromiseFulfilledResult<unknown>).value] as const);
}

async function executeLeaf(parts: RunParts, node: NodeIr, leaf: Leaf, scope: Scope): Promise<unknown> {
  const { run, workflow, store } = parts;
  if (parts.finished.has(leaf.id)) return parts.finished.get(leaf.id);
  if (parts.stopping()) throw new HandedOver();
  parts.signal.throwIfAborted();
  const frame: RunFrame = { runId: run.id, workflow: workflow.name, signal: parts.signal };
  const plan: NodePlan = {
    node: leaf,
    code: workflow.code.get(leaf.id)!,
    retry: leaf.retry ?? node.retry,
    timeout: leaf.timeout ?? node.timeout,
    parallel: node.op === "parallel" ? node.id : undefined,
  };
  try {
    return await executeNode(plan, scope, frame, async (output) => {
      addOutput(scope, leaf, output);
      await store.finishStep({ runId: run.id, epoch: run.epoch, node: leaf.id, output });
    });
  } catch (error) {
    // Anything else is the store's: the run is not over, another worker carries it on.
    const own = error instanceof NodeFailed || TsdevError.is(error);
    throw own && !parts.signal.aborted ? stepFailed(run, leaf, error) : error;
  }
}

function stepFailed(run: StoredRun, leaf: Leaf, error: unknown): TsdevError {
  const cause = error instanceof NodeFailed ? error.cause : error;
  const attempts = error instanceof NodeFailed ? error.attempts : 1;
  const times = attempts === 0 ? "before its first attempt" : `after ${attempts} attempt${attempts === 1 ? "" : "s"}`;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TsdevError("step_failed", {
    message: `workflow "${run.workflow}": step "${leaf.id}" failed ${times}: ${message}`,
    fix: TsdevError.is(cause)
      ? cause.fix
      : `look at the trace of run ${run.id}; if the step is safe to repeat, .withRetry tries it again`,
    ...(TsdevError.is(cause) && cause.path !== undefined ? { path: cause.path } : {}),
    cause,
  });
}
