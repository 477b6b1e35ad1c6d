// Workflow: an immutable chain of nodes over a typed, write-once scope; every method returns a new workflow.
import type { z } from "zod";
import { TsdevError } from "../errors.ts";
import {
  freezeIr,
  leavesOf,
  type NodeIr,
  parallelId,
  type RetryIr,
  type StepIr,
  type TimeoutIr,
  versionOf,
  type WorkflowIr,
} from "../ir/ir.ts";
import { checkRetry, checkTimeout } from "../policies/check-policy.ts";
import type { AnyProcedure, InputOf, ProcedureContext } from "../procedures/procedure.ts";
import { callerOf, type SourceLocation } from "../source-location.ts";
import type {
  BranchPairs,
  CheckBranches,
  CheckRun,
  CheckStep,
  Pair,
  PairsOf,
  RunPairs,
  ScopeOf,
  StepId,
  StepPairs,
} from "./scope.ts";

export type Scope = Readonly<Record<string, unknown>>;

/** The code behind one node of the IR: what the IR, being JSON, cannot hold. */
export interface NodeCode {
  readonly procedure?: AnyProcedure;
  /** Maps the scope to the step's input. */
  readonly with?: (scope: Scope) => unknown;
  readonly run?: (scope: Scope, context: ProcedureContext) => unknown;
  /** The line of the node in its chain. */
  readonly source: SourceLocation | undefined;
}

/** What the engine needs of a workflow; `Workflow` adds the types and the methods. */
export interface AnyWorkflow {
  readonly kind: "workflow";
  readonly name: string;
  readonly input: z.ZodType;
  readonly ir: WorkflowIr;
  /** A digest of the IR. */
  readonly version: string;
  /** By node id. */
  readonly code: ReadonlyMap<string, NodeCode>;
}

export interface Workflow<I extends z.ZodType, S extends Pair, Ids extends string> extends AnyWorkflow {
  readonly input: I;
  /** Only for the compiler: the scope at the end. */
  readonly "~output"?: ScopeOf<S>;

  /**
   * Runs a procedure. It reads the scope's keys that its input contract names and adds those of its output.
   * `as` nests the output under one key (and names the node), `with` maps the scope to the input.
   */
  step<P extends AnyProcedure, const As extends string | undefined = undefined>(
    procedure: P & CheckStep<S, Ids, P, As, true>,
    options: { as?: As; with: (scope: ScopeOf<S>) => InputOf<P> },
  ): StepTail<I, S, StepPairs<P, As>, z.output<P["output"]>, Ids, StepId<P, As>>;
  step<P extends AnyProcedure, const As extends string | undefined = undefined>(
    procedure: P & CheckStep<S, Ids, P, As, false>,
    options?: { as?: As; with?: undefined },
  ): StepTail<I, S, StepPairs<P, As>, z.output<P["output"]>, Ids, StepId<P, As>>;

  /** Runs procedures at the same time; when one fails the others still finish, then the run fails. */
  parallel<const Ps extends readonly [AnyProcedure, AnyProcedure, ...AnyProcedure[]]>(
    procedures: Ps & CheckBranches<S, Ids, Ps>,
  ): Tail<I, S | BranchPairs<Ps>, Ids | Ps[number]["name"]>;

  /** Runs a function of your own as one step. It is opaque: its keys are those of the object it returns. */
  run<const Id extends string, R, const As extends string | undefined = undefined>(
    name: Id,
    fn: ((scope: ScopeOf<S>, context: ProcedureContext) => Promise<R> | R) & CheckRun<S, Ids, Id, R, As>,
  ): StepTail<I, S, RunPairs<R, As>, R, Ids, Id>;
}

/** A workflow whose last node can still be modified. */
export interface Tail<I extends z.ZodType, S extends Pair, Ids extends string> extends Workflow<I, S, Ids> {
  /** Tries the node before it again when its error is transient. Full jitter; on a parallel node it is each branch's. */
  withRetry(options: RetryIr): Tail<I, S, Ids>;
  /** Limits each attempt of the node before it. */
  withTimeout(options: TimeoutIr): Tail<I, S, Ids>;
}

/** A tail whose last node is a single step, so that its output can still be nested. */
export interface StepTail<
  I extends z.ZodType,
  Before extends Pair,
  Added extends Pair,
  Out,
  IdsBefore extends string,
  Id extends string,
> extends Tail<I, Before | Added, IdsBefore | Id> {
  withRetry(options: RetryIr): StepTail<I, Before, Added, Out, IdsBefore, Id>;
  withTimeout(options: TimeoutIr): StepTail<I, Before, Added, Out, IdsBefore, Id>;
  /** Nests the output of the step before it under one key, which is also its id. */
  as<const Key extends string>(
    key: Key & AsKey<Before, IdsBefore, Key>,
  ): StepTail<I, Before, readonly [Key, Out], Out, IdsBefore, Key>;
}

type AsKey<Before extends Pair, Ids extends string, Key extends string> = CheckRun<Before, Ids, Key, unknown, Key>;

/** What `execute` takes. */
export type WorkflowInput<W extends AnyWorkflow> = z.input<W["input"]>;
/** What `execute` returns: the whole scope at the end. */
export type WorkflowOutput<W extends AnyWorkflow> = W extends { readonly "~output"?: infer O } ? NonNullable<O> : Scope;

/**
 * Begins a workflow.
 *
 * @example
 * export const orderProcessing = workflow("order-processing")
 *   .input(z.object({ orderId: z.string() }))
 *   .step(validateOrder).withRetry({ maxAttempts: 3, backoff: "exponential" })
 *   .parallel([sendEmail, updateInventory, trackAnalytics]);
 */
export function workflow(name: string): {
  /** The contract of the run's input; its keys are the scope at the start. */
  input<I extends z.ZodObject>(input: I): Workflow<I, PairsOf<z.output<I>>, never>;
} {
  return {
    input: <I extends z.ZodObject>(input: I) =>
      new Chain(name, input, [], new Map()) as unknown as Workflow<I, PairsOf<z.output<I>>, never>,
  };
}

interface StepOptions {
  as?: string;
  with?: (scope: Scope) => unknown;
}

class Chain implements AnyWorkflow {
  readonly kind = "workflow" as const;
  readonly name: string;
  readonly input: z.ZodType;
  readonly ir: WorkflowIr;
  readonly code: ReadonlyMap<string, NodeCode>;
  #version: string | undefined;

  constructor(name: string, input: z.ZodType, nodes: readonly NodeIr[], code: ReadonlyMap<string, NodeCode>) {
    this.name = name;
    this.input = input;
    this.ir = freezeIr({ ir: 1, name, nodes });
    this.code = code;
    // Not frozen as a whole: the version is filled in when it is first asked for, a chain makes many workflows.
  }

  get version(): string {
    this.#version ??= versionOf(this.ir);
    return this.#version;
  }

  step(procedure: AnyProcedure, options: StepOptions = {}): Chain {
    const source = callerOf(this.step);
    return this.#add(stepIr(procedure, options), [
      [options.as ?? procedure.name, { procedure, ...(options.with ? { with: options.with } : {}), source }],
    ]);
  }

  parallel(procedures: readonly AnyProcedure[]): Chain {
    const source = callerOf(this.parallel);
    const branches = procedures.map((procedure) => stepIr(procedure, {}));
    return this.#add(
      { op: "parallel", id: parallelId(branches), branches },
      procedures.map((procedure) => [procedure.name, { procedure, source }]),
    );
  }

  run(name: string, fn: NonNullable<NodeCode["run"]>): Chain {
    const source = callerOf(this.run);
    return this.#add({ op: "run", id: name }, [[name, { run: fn, source }]]);
  }

  withRetry(options: RetryIr): Chain {
    return this.#modify((node) => ({ ...node, retry: checkRetry(options, this.name, node.id) }));
  }

  withTimeout(options: TimeoutIr): Chain {
    return this.#modify((node) => ({ ...node, timeout: checkTimeout(options, this.name, node.id) }));
  }

  as(key: string): Chain {
    const last = this.ir.nodes.at(-1);
    if (last === undefined || last.op === "parallel") throw misplaced(this.name, "as");
    const code = new Map(this.code);
    const own = code.get(last.id);
    code.delete(last.id);
    const before = new Chain(this.name, this.input, this.ir.nodes.slice(0, -1), code);
    return before.#add({ ...last, id: key, as: key }, own ? [[key, own]] : []);
  }

  #add(node: NodeIr, code: readonly (readonly [string, NodeCode])[]): Chain {
    const all = new Map(this.code);
    for (const [id, entry] of code) {
      if (all.has(id)) {
        throw new TsdevError("duplicate_name", {
          message: `workflow "${this.name}" has two nodes with the id "${id}"`,
          fix: "give one of them another id with { as }",
        });
      }
      all.set(id, entry);
    }
    return new Chain(this.name, this.input, [...this.ir.nodes, node], all);
  }

  #modify(change: (node: NodeIr) => NodeIr): Chain {
    const last = this.ir.nodes.at(-1);
    if (last === undefined) throw misplaced(this.name, "a modifier");
    return new Chain(this.name, this.input, [...this.ir.nodes.slice(0, -1), change(last)], this.code);
  }
}

function stepIr(procedure: AnyProcedure, options: StepOptions): StepIr {
  return {
    op: "step",
    id: options.as ?? procedure.name,
    procedure: procedure.name,
    ...(options.as === undefined ? {} : { as: options.as }),
    ...(options.with === undefined ? {} : { mapped: true as const }),
  };
}

function misplaced(workflow: string, what: string): TsdevError {
  return new TsdevError("invalid_config", {
    message: `workflow "${workflow}": ${what} must follow a step`,
    fix: "write it after the node that it is meant for",
  });
}

/** True when this code can carry on a run that began with `ir`: every node that it would run is still there. */
export function canServe(workflow: AnyWorkflow, ir: WorkflowIr): boolean {
  return leavesOf(ir).every((leaf) => {
    const code = workflow.code.get(leaf.id);
    if (code === undefined) return false;
    return leaf.op === "run" ? code.run !== undefined : code.procedure?.name === leaf.procedure;
  });
}
