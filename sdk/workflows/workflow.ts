// Workflow: an immutable chain of nodes over a typed, write-once scope; every method returns a new workflow.
import type { z } from "zod";
import type { RetryIr, TimeoutIr } from "../ir/ir.ts";
import type { AnyProcedure, InputOf, ProcedureContext } from "../procedures/procedure.ts";
import { callerOf } from "../source-location.ts";
import { Chain } from "./chain.ts";
import type { AnyWorkflow, Scope } from "./definition.ts";
import { checkWorkflow } from "./node-options.ts";
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

export { canServe } from "./code-for.ts";
export type { AnyWorkflow, NodeCode, Scope } from "./definition.ts";

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
export function workflow(
  name: string,
  options: {
    concurrency?: { limit: number; key?: (input: never) => string };
    previous?: readonly AnyWorkflow[];
  } = {},
): {
  /** The contract of the run's input; its keys are the scope at the start. */
  input<I extends z.ZodObject>(input: I): Workflow<I, PairsOf<z.output<I>>, never>;
} {
  const source = callerOf(workflow);
  checkWorkflow(name, options);
  const { concurrency, previous = [] } = options;
  return {
    input: <I extends z.ZodObject>(input: I) =>
      new Chain(name, {
        name,
        input,
        source,
        limit: concurrency?.limit,
        concurrencyKey: concurrency?.key,
        previous,
      }) as unknown as Workflow<I, PairsOf<z.output<I>>, never>,
  };
}
