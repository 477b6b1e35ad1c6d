// IR: a workflow's graph as frozen JSON. Everything in it can be read from the text of the chain, so that a reading of
// the source and `workflow.ir` at run time can be compared byte by byte with `canonicalJson`.
import { digest } from "../digest.ts";

/** How a node is tried again. Absent fields are filled in from `retryDefaults` when the node runs. */
export interface RetryIr {
  readonly maxAttempts: number;
  readonly backoff?: "exponential" | "fixed";
  readonly initialMs?: number;
  readonly maxMs?: number;
  /**
   * Which errors are tried again: values of `error.type` (`ECONNRESET`, `http_503`, a TsdevError code, a class name),
   * `"transient"` or `"any"`. Default: `["transient"]`.
   */
  readonly on?: readonly string[];
  /** At most this share of the recent calls may be retries, 0 to 1; beyond it the first error stands. Default: no limit. */
  readonly budget?: number;
}

export interface TimeoutIr {
  /** Limit of one attempt, milliseconds. */
  readonly ms: number;
}

export interface CacheIr {
  /** How long an output is fresh, milliseconds. */
  readonly ttlMs: number;
  /** How much longer it may be answered while a new one is made, milliseconds. Default 0. */
  readonly staleMs?: number;
  /** True when a function makes the key; else the whole input is the key. */
  readonly keyed?: true;
}

export interface RateLimitIr {
  /** Calls that may begin at once; their places come back evenly over `perMs`. */
  readonly limit: number;
  readonly perMs: number;
  /** True when a function makes the key that is limited; else all calls share one limit. */
  readonly keyed?: true;
}

export interface CircuitBreakerIr {
  /** Failures in a row that open the circuit. */
  readonly failures: number;
  /** How long it stays open until one call may try, milliseconds. */
  readonly openMs: number;
}

/** Modifiers of a node that runs code. */
export interface PoliciesIr {
  readonly retry?: RetryIr;
  readonly timeout?: TimeoutIr;
  readonly cache?: CacheIr;
  readonly rateLimit?: RateLimitIr;
  readonly circuitBreaker?: CircuitBreakerIr;
}

/** What undoes a finished step when its run fails or is canceled. */
export interface CompensateIr {
  readonly procedure: string;
  /** True when `with` maps its input. */
  readonly mapped?: true;
}

/** `.step(procedure)`. The id is `as` where it is given, else the procedure's name. */
export interface StepIr extends PoliciesIr {
  readonly op: "step";
  readonly id: string;
  readonly procedure: string;
  /** The key that the output is nested under. */
  readonly as?: string;
  /** True when `with` maps the input: what it reads is then not known from the contract. */
  readonly mapped?: true;
  readonly compensate?: CompensateIr;
}

/** `.parallel([a, b])`. The id is `a+b`; its policies are those of every branch. */
export interface ParallelIr extends PoliciesIr {
  readonly op: "parallel";
  readonly id: string;
  readonly branches: readonly StepIr[];
}

/** `.run(name, fn)`: opaque, codemods refuse to enter it. */
export interface RunIr extends PoliciesIr {
  readonly op: "run";
  readonly id: string;
  readonly as?: string;
}

/** `.when(id, predicate, then, otherwise?)`. */
export interface WhenIr {
  readonly op: "when";
  readonly id: string;
  readonly then: readonly NodeIr[];
  readonly otherwise?: readonly NodeIr[];
}

/** `.match(id, value, { case: branch, … }, otherwise?)`. */
export interface MatchIr {
  readonly op: "match";
  readonly id: string;
  readonly cases: readonly { readonly case: string; readonly nodes: readonly NodeIr[] }[];
  readonly otherwise?: readonly NodeIr[];
}

/** `.each(id, items, body, options?)`: its output, under the key `id`, is a list in the order of the items. */
export interface EachIr {
  readonly op: "each";
  readonly id: string;
  /** Items that run at the same time. Default 1. */
  readonly concurrency?: number;
  /** `collect`: a failed item is a value of the list and the others go on. Default: the run fails. */
  readonly onError?: "collect";
  readonly nodes: readonly NodeIr[];
}

/** `.repeat(id, body, { until, maxTimes, everyMs? })`. */
export interface RepeatIr {
  readonly op: "repeat";
  readonly id: string;
  readonly maxTimes: number;
  /** Pause between two rounds, milliseconds. Default 0. */
  readonly everyMs?: number;
  readonly nodes: readonly NodeIr[];
}

/** `.sleep(id, { ms })` or `.sleep(id, { until })`. */
export interface SleepIr {
  readonly op: "sleep";
  readonly id: string;
  readonly ms?: number;
  /** True when a function says until when. */
  readonly mapped?: true;
}

/** `.waitFor(id, event, options?)`: its output, under the key `id`, is the event's payload. */
export interface WaitForIr {
  readonly op: "waitFor";
  readonly id: string;
  readonly event: string;
  /** True when a function says which of the events is meant. */
  readonly keyed?: true;
  readonly timeoutMs?: number;
  /** `continue`: the output is undefined when none came in time. Default: the run fails with `timeout`. */
  readonly onTimeout?: "continue";
}

/** `.approve(id, options?)`: its output, under the key `id`, is an `Approval`. */
export interface ApproveIr {
  readonly op: "approve";
  readonly id: string;
  readonly timeoutMs?: number;
  /** `reject`: counts as rejected when nobody answered in time. Default: the run fails with `timeout`. */
  readonly onTimeout?: "reject";
  /** `continue`: the run goes on with `approved: false`. Default: the run fails with `rejected`. */
  readonly onReject?: "continue";
}

/** `.call(workflow, options?)`: a run of its own; its output is nested under `as`, else the workflow's name. */
export interface CallIr {
  readonly op: "call";
  readonly id: string;
  readonly workflow: string;
  readonly as?: string;
  readonly mapped?: true;
}

/** A node that runs code of the author under policies. */
export type LeafIr = StepIr | RunIr;
export type NodeIr =
  | LeafIr
  | ParallelIr
  | WhenIr
  | MatchIr
  | EachIr
  | RepeatIr
  | SleepIr
  | WaitForIr
  | ApproveIr
  | CallIr;

export interface WorkflowIr {
  /** The version of this format. */
  readonly ir: 1;
  readonly name: string;
  /** Runs of this workflow (with one key) that may be unfinished at the same time; others wait as `queued`. */
  readonly concurrency?: { readonly limit: number; readonly keyed?: true };
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

/** The lists of nodes inside a node, in the order of the source; empty for a node that has none. */
export function bodiesOf(node: NodeIr): readonly (readonly NodeIr[])[] {
  switch (node.op) {
    case "parallel":
      return [node.branches];
    case "when":
      return node.otherwise ? [node.then, node.otherwise] : [node.then];
    case "match":
      return [...node.cases.map(({ nodes }) => nodes), ...(node.otherwise ? [node.otherwise] : [])];
    case "each":
    case "repeat":
      return [node.nodes];
    default:
      return [];
  }
}

/** Every node, those inside others after the one they are in. Ids are unique among them. */
export function nodesOf(ir: WorkflowIr): readonly NodeIr[] {
  const walk = (nodes: readonly NodeIr[]): NodeIr[] => nodes.flatMap((node) => [node, ...bodiesOf(node).flatMap(walk)]);
  return walk(ir.nodes);
}

/** The nodes that run code of the author under policies, in the order of the source. */
export function leavesOf(ir: WorkflowIr): readonly LeafIr[] {
  return nodesOf(ir).filter((node) => node.op === "step" || node.op === "run");
}

/** Freezes a JSON value at every level. */
export function freezeIr<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezeIr(item);
  }
  return value;
}
