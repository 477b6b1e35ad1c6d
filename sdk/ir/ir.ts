// IR: a workflow's graph as frozen JSON. Everything in it can be read from the text of the chain, so that a codemod's
// reading of the source and `workflow.ir` at run time can be compared byte by byte with `canonicalJson`.
import { digest } from "../digest.ts";

/** How a node is tried again. Absent fields are filled in from `retryDefaults` when the node runs. */
export interface RetryIr {
  readonly maxAttempts: number;
  readonly backoff?: "exponential" | "fixed";
  readonly initialMs?: number;
  readonly maxMs?: number;
}

export interface TimeoutIr {
  /** Limit of one attempt, milliseconds. */
  readonly ms: number;
}

interface Policies {
  readonly retry?: RetryIr;
  readonly timeout?: TimeoutIr;
}

/** `.step(procedure)`. The id is `as` where it is given, else the procedure's name. */
export interface StepIr extends Policies {
  readonly op: "step";
  readonly id: string;
  readonly procedure: string;
  /** The key that the output is nested under. */
  readonly as?: string;
  /** True when `with` maps the input: what it reads is then not known from the contract. */
  readonly mapped?: true;
}

/** `.parallel([a, b])`. The id is `a+b`; its policies are those of every branch. */
export interface ParallelIr extends Policies {
  readonly op: "parallel";
  readonly id: string;
  readonly branches: readonly StepIr[];
}

/** `.run(name, fn)`: opaque, codemods refuse to enter it. */
export interface RunIr extends Policies {
  readonly op: "run";
  readonly id: string;
  readonly as?: string;
}

export type NodeIr = StepIr | ParallelIr | RunIr;

export interface WorkflowIr {
  /** The version of this format. */
  readonly ir: 1;
  readonly name: string;
  readonly nodes: readonly NodeIr[];
}

/** The id of a parallel node. */
export function parallelId(branches: readonly StepIr[]): string {
  return branches.map((branch) => branch.id).join("+");
}

/** The version of a workflow: a short digest of its IR. */
export function versionOf(ir: WorkflowIr): string {
  return digest(ir).slice(0, 12);
}

/** The nodes that run, in order: a parallel node's branches in its place. */
export function leavesOf(ir: WorkflowIr): readonly (StepIr | RunIr)[] {
  return ir.nodes.flatMap((node): readonly (StepIr | RunIr)[] => (node.op === "parallel" ? node.branches : [node]));
}

/** Freezes a JSON value at every level. */
export function freezeIr<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezeIr(item);
  }
  return value;
}
