// Workflow: an immutable chain of nodes over a typed, write-once scope; every method returns a new chain. The types are
// here, what they do is in `chain.ts`.
import type { z } from "zod";
import type { CircuitBreakerIr, RetryIr, TimeoutIr, WorkflowIr } from "../ir/ir.ts";
import type { CacheOptions, RateLimitOptions } from "../policies/policies.ts";
import type { AnyProcedure, InputOf, ProcedureContext } from "../procedures/procedure.ts";
import { callerOf, type SourceLocation } from "../source-location.ts";
import { Chain as RuntimeChain } from "./chain.ts";
import type { AnyWorkflow, Approval, NodeCode, Scope } from "./definition.ts";
import type { AnyEvent } from "./event.ts";
import { checkWorkflow } from "./node-options.ts";
import type {
  Added,
  AnyBranch,
  BranchPairs,
  CaseIds,
  CasePairs,
  EachElement,
  EachScope,
  EndOf,
  HasNoKeys,
  IdOf,
  IdsIn,
  MergedPairs,
  NoBranch,
  Pair,
  PairsIn,
  PairsOf,
  RoundScope,
  RunPairs,
  ScopeOf,
  StepPairs,
} from "./scope.ts";
import type {
  CheckBranches,
  CheckCall,
  CheckCases,
  CheckId,
  CheckKey,
  CheckReads,
  CheckRun,
  CheckStep,
  CheckUnkeyed,
  KeylessSentence,
  KeyOption,
  TsdevTypeError,
} from "./scope-checks.ts";

/** What a chain begins with: a workflow's name and input. */
export interface Root<Name extends string, I extends z.ZodType> {
  readonly kind: "workflow";
  readonly name: Name;
  readonly input: I;
}
/** The same of the nodes inside another node. */
export interface Inside {
  readonly kind: "branch";
  readonly name: string;
  readonly input: undefined;
}
interface AnyRoot {
  readonly kind: "workflow" | "branch";
  readonly name: string;
  readonly input: unknown;
}

/** `timeoutMs` alone, or with what happens then. */
type Limited<OnTimeout> =
  | { timeoutMs: number; onTimeout?: OnTimeout }
  | { timeoutMs?: undefined; onTimeout?: undefined };

/**
 * A chain of nodes: a workflow, or what is inside a node. `H` is what it begins with, `S` the scope at its end as pairs,
 * `Ids` the ids that are taken.
 */
export interface Chain<H extends AnyRoot, S extends Pair, Ids extends string> {
  readonly kind: H["kind"];
  readonly name: H["name"];
  readonly input: H["input"];
  readonly ir: WorkflowIr;
  readonly version: string;
  readonly code: ReadonlyMap<string, NodeCode>;
  readonly concurrencyKey: ((input: never) => string) | undefined;
  readonly previous: readonly AnyWorkflow[];
  readonly source: SourceLocation | undefined;
  /** Only for the compiler: the scope at the end, and the ids. */
  readonly "~output"?: ScopeOf<S>;
  readonly "~pairs"?: S;
  readonly "~ids"?: Ids;

  /**
   * Runs a procedure. It reads the scope's keys that its input contract names and adds those of its output.
   * `as` nests the output under one key (and names the node), `with` maps the scope to the input.
   */
  // The overload with `with` is the last, whose error the compiler shows: of a wrong `with` it names the key and types.
  step<P extends AnyProcedure, const As extends string | undefined = undefined>(
    procedure: CheckStep<S, Ids, P, As, false> & P,
    options?: { as?: As; with?: undefined },
  ): AfterStep<H, S, P, As, Ids>;
  step<P extends AnyProcedure, const As extends string | undefined = undefined>(
    procedure: CheckStep<S, Ids, P, As, true> & P,
    options: { as?: As; with: (scope: ScopeOf<S>) => InputOf<P> },
  ): AfterStep<H, S, P, As, Ids>;

  /** Runs procedures at the same time; when one fails the others still finish, then the run fails. */
  parallel<const Ps extends readonly [AnyProcedure, AnyProcedure, ...AnyProcedure[]]>(
    procedures: CheckBranches<S, Ids, Ps> & Ps,
  ): PolicyTail<H, S | BranchPairs<Ps>, Ids | Ps[number]["name"]>;

  /** Runs a function of your own as one step. It is opaque: its keys are those of the object it returns. */
  run<const Id extends string, R>(
    name: Id,
    fn: ((scope: ScopeOf<S>, context: ProcedureContext) => Promise<R> | R) & CheckRun<S, Ids, Id, R, undefined>,
  ): AfterRun<H, S, R, Ids, Id>;

  /**
   * Goes one of two ways. Which one is decided once for a run. A key that one branch alone adds may be undefined after
   * it; one that both add has the type of either.
   */
  when<const Id extends string, T extends AnyBranch, O extends AnyBranch = NoBranch>(
    id: CheckId<Ids, Id> & Id,
    condition: (scope: ScopeOf<S>) => boolean,
    then: (branch: Branch<S, Ids | Id>) => T,
    otherwise?: (branch: Branch<S, Ids | Id | IdsIn<T>>) => O,
  ): Chain<H, S | MergedPairs<{ then: Added<S, T>; otherwise: Added<S, O> }>, Ids | Id | IdsIn<T> | IdsIn<O>>;

  /**
   * Goes the way of a value, one branch for each that it may have; `otherwise` is for all others, and may be left out
   * when there are none. The keys after it are as after `.when`.
   */
  match<
    const Id extends string,
    V extends string | number | boolean,
    Cs extends Readonly<Record<string, AnyBranch>>,
    O extends AnyBranch = NoBranch,
  >(
    // The check of the cases stands here, since a type of `cases` that asks for `Cs` would hide what `branch` is.
    id: CheckId<Ids, Id> & CheckCases<V, Ids | Id, Cs, O> & Id,
    value: (scope: ScopeOf<S>) => V,
    cases: { readonly [C in keyof Cs]: (branch: Branch<S, Ids | NoInfer<Id>>) => Cs[C] },
    otherwise?: (branch: Branch<S, Ids | NoInfer<Id> | CaseIds<Cs>>) => O,
  ): Chain<
    H,
    S | MergedPairs<CasePairs<S, Cs> & ([O["~ids"]] extends [undefined] ? unknown : { "~otherwise": Added<S, O> })>,
    Ids | Id | CaseIds<Cs> | IdsIn<O>
  >;

  /**
   * Runs the body for each item; its scope has `item` and `index` too. Adds a list, in the order of the items, of the
   * keys that the body adds. `concurrency`: items at the same time, default 1. `onError: "collect"`: a failed item is a
   * value of the list; else the run fails.
   */
  each<const Id extends string, Item, B extends AnyBranch, const E extends "collect" | undefined = undefined>(
    id: CheckKey<S, Ids, Id> & Id,
    // Spelled out here, since the compiler would show the name of a type alias instead of the sentence.
    items: (scope: ScopeOf<S>) => Iterable<Item> & {
      readonly charAt?: TsdevTypeError<"the items are a text: give a list, such as [...text] for its letters">;
    },
    body: (item: Branch<EachScope<S, Item>, Ids | Id>) => B,
    options?: { concurrency?: number; onError?: E },
  ): Chain<H, S | readonly [Id, EachElement<Added<EachScope<S, Item>, B>, E>[]], Ids | Id | IdsIn<B>>;

  /**
   * Runs the body until `until` is true of its scope at the end of a round; it has `round`, counted from 0, too. Adds
   * what the last round adds. Fails when it is not over after `maxTimes`. `everyMs`: pause between rounds.
   */
  repeat<const Id extends string, B extends AnyBranch>(
    id: CheckId<Ids, Id> & Id,
    body: (round: Branch<RoundScope<S>, Ids | Id>) => B,
    options: { until: (scope: ScopeOf<PairsIn<B>>) => boolean; maxTimes: number; everyMs?: number },
  ): Chain<H, S | Added<RoundScope<S>, B>, Ids | Id | IdsIn<B>>;

  /** Waits, and needs no process while it does. */
  sleep<const Id extends string>(
    id: CheckId<Ids, Id> & Id,
    options: { ms: number } | { until: (scope: ScopeOf<S>) => Date },
  ): Chain<H, S, Ids | Id>;

  /**
   * Waits for an event. Adds its payload. `key` says which of the events is meant, and must where the event has one. After
   * `timeoutMs` the run fails, or with `onTimeout: "continue"` goes on with undefined.
   */
  waitFor<const Id extends string, E extends AnyEvent>(
    id: CheckKey<S, Ids, Id> & Id,
    event: CheckUnkeyed<E> & E,
  ): Chain<H, S | readonly [Id, z.output<E["payload"]>], Ids | Id>;
  waitFor<const Id extends string, E extends AnyEvent, const T extends "continue" | undefined = undefined>(
    id: CheckKey<S, Ids, Id> & Id,
    event: E,
    options: KeyOption<S, E> & Limited<T>,
  ): Chain<H, S | readonly [Id, z.output<E["payload"]> | (T extends "continue" ? undefined : never)], Ids | Id>;

  /**
   * Waits for a person's answer. Adds an `Approval`. A rejection fails the run, or with `onReject: "continue"` it goes on.
   * After `timeoutMs` the run fails, or with `onTimeout: "reject"` that is a rejection.
   */
  approve<const Id extends string>(
    id: CheckKey<S, Ids, Id> & Id,
    options?: { onReject?: "continue" } & Limited<"reject">,
  ): Chain<H, S | readonly [Id, Approval], Ids | Id>;

  /** Runs another workflow as a run of its own. Adds its whole scope at the end, under `as`, else its name. */
  call<W extends AnyWorkflow, const As extends string | undefined = undefined>(
    workflow: CheckCall<S, Ids, W, As, false> & W,
    options?: { as?: As; with?: undefined },
  ): CallTail<H, S, EndOf<W>, Ids, IdOf<W, As>>;
  call<W extends AnyWorkflow, const As extends string | undefined = undefined>(
    workflow: CheckCall<S, Ids, W, As, true> & W,
    options: { as?: As; with: (scope: ScopeOf<S>) => z.input<W["input"]> },
  ): CallTail<H, S, EndOf<W>, Ids, IdOf<W, As>>;
}

/** A workflow whose name, input, scope and ids are known to the compiler. */
export type Workflow<Name extends string, I extends z.ZodType, S extends Pair, Ids extends string> = Chain<
  Root<Name, I>,
  S,
  Ids
>;
/** What the functions of `.when`, `.match`, `.each` and `.repeat` get, and return with nodes added. */
export type Branch<S extends Pair, Ids extends string> = Chain<Inside, S, Ids>;

/** A chain whose last node runs code, so that policies can stand around it. Of a parallel node they are each branch's. */
export interface PolicyTail<H extends AnyRoot, S extends Pair, Ids extends string> extends Chain<H, S, Ids> {
  /** Tries the node before it again when its error is transient. Full jitter. */
  withRetry(options: RetryIr): this;
  /** Limits each attempt of the node before it. */
  withTimeout(options: TimeoutIr): this;
  /** Answers what the node before it answered to an equal input, `ttlMs` long; `staleMs` longer while it is renewed. */
  withCache(options: CacheOptions<never> & { key?: undefined }): this;
  /** At most `limit` begin within `perMs`; others wait. */
  withRateLimit(options: RateLimitOptions<never> & { key?: undefined }): this;
  /** After so many `failures` in a row it is not tried for `openMs`. */
  withCircuitBreaker(options: CircuitBreakerIr): this;
}

/** The policies around a node with one input, which keys are made from. */
interface InputPolicies<In> {
  /** Tries the node before it again when its error is transient. Full jitter. */
  withRetry(options: RetryIr): this;
  /** Limits each attempt of the node before it. */
  withTimeout(options: TimeoutIr): this;
  /**
   * Answers what the node before it answered to an equal input, `ttlMs` long; `staleMs` longer while it is renewed.
   * `key` says which inputs are equal.
   */
  withCache(options: CacheOptions<In>): this;
  /** At most `limit` begin within `perMs`, of each `key`; others wait. */
  withRateLimit(options: RateLimitOptions<In>): this;
  /** After so many `failures` in a row it is not tried for `openMs`. */
  withCircuitBreaker(options: CircuitBreakerIr): this;
}

/** The same of a node with one input. */
export interface KeyedTail<H extends AnyRoot, S extends Pair, Ids extends string, In>
  extends Chain<H, S, Ids>,
    InputPolicies<In> {}

/**
 * After a node whose output has no keys: no chain, until `.as` gives it one. Whatever else is called on it does not
 * compile, and the compiler names this type, with the sentence.
 */
export interface Keyless<
  _Sentence extends string,
  H extends AnyRoot,
  Before extends Pair,
  Out,
  Ids extends string,
  In,
  Kind extends "run" | "step",
> extends InputPolicies<In> {
  /** Nests the output of the node before it under one key, which is also its id. */
  as<const Key extends string>(
    key: CheckKey<Before, Ids, Key> & Key,
  ): Kind extends "run"
    ? RunTail<H, Before, readonly [Key, Out], Out, Ids, Key>
    : StepTail<H, Before, readonly [Key, Out], Out, Ids, Key, In>;
}
type AfterRun<H extends AnyRoot, S extends Pair, R, Ids extends string, Id extends string> =
  HasNoKeys<R> extends true
    ? Keyless<KeylessSentence<Id>, H, S, R, Ids, ScopeOf<S>, "run">
    : RunTail<H, S, RunPairs<R, undefined>, R, Ids, Id>;
type AfterStep<H extends AnyRoot, S extends Pair, P extends AnyProcedure, As, Ids extends string> = As extends string
  ? StepTail<H, S, readonly [As, z.output<P["output"]>], z.output<P["output"]>, Ids, As, z.output<P["input"]>>
  : HasNoKeys<z.output<P["output"]>> extends true
    ? Keyless<KeylessSentence<P["name"]>, H, S, z.output<P["output"]>, Ids, z.output<P["input"]>, "step">
    : StepTail<H, S, StepPairs<P, undefined>, z.output<P["output"]>, Ids, P["name"], z.output<P["input"]>>;

/** A chain whose last node is a function, so that its output can be nested. */
export interface RunTail<
  H extends AnyRoot,
  Before extends Pair,
  Plus extends Pair,
  Out,
  Ids extends string,
  Id extends string,
> extends KeyedTail<H, Before | Plus, Ids | Id, ScopeOf<Before>> {
  /** Nests the output of the node before it under one key, which is also its id. */
  as<const Key extends string>(
    key: CheckKey<Before, Ids, Key> & Key,
  ): RunTail<H, Before, readonly [Key, Out], Out, Ids, Key>;
}

/** A chain whose last node is a step, so that its output can be nested, and it can be undone. */
export interface StepTail<
  H extends AnyRoot,
  Before extends Pair,
  Plus extends Pair,
  Out,
  Ids extends string,
  Id extends string,
  In,
> extends KeyedTail<H, Before | Plus, Ids | Id, In> {
  /** Nests the output of the step before it under one key, which is also its id. */
  as<const Key extends string>(
    key: CheckKey<Before, Ids, Key> & Key,
  ): StepTail<H, Before, readonly [Key, Out], Out, Ids, Key, In>;
  /**
   * Undoes the step before it when the run fails or is canceled after it: the last one that finished first. The procedure
   * reads the scope after the step; `with` maps it.
   */
  compensate<P extends AnyProcedure>(
    procedure: CheckReads<Before | Plus, z.input<P["input"]>, `compensation '${P["name"]}'`> & P,
    options?: { with?: undefined },
  ): this;
  compensate<P extends AnyProcedure>(
    procedure: P,
    options: { with: (scope: ScopeOf<Before | Plus>) => InputOf<P> },
  ): this;
}

/** A chain whose last node is a child's run. */
export interface CallTail<H extends AnyRoot, Before extends Pair, Out, IdsBefore extends string, Id extends string>
  extends Chain<H, Before | readonly [Id, Out], IdsBefore | Id> {
  /** Nests the output of the child before it under another key, which is also its id. */
  as<const Key extends string>(key: CheckKey<Before, IdsBefore, Key> & Key): CallTail<H, Before, Out, IdsBefore, Key>;
}

/** What `execute` takes. */
export type WorkflowInput<W extends AnyWorkflow> = z.input<W["input"]>;
/** What `execute` returns: the whole scope at the end. */
export type WorkflowOutput<W extends AnyWorkflow> = W extends { readonly "~output"?: infer O } ? NonNullable<O> : Scope;

/** What a workflow may say beside its nodes. `K` is what the key of `concurrency` reads of the input. */
export interface WorkflowOptions<K> {
  /** At most so many runs at once, of each key; others wait as `queued`. */
  concurrency?: { limit: number; key?: (input: K) => string };
  /** Earlier definitions of this name whose runs may still be in flight: their code carries those on. */
  previous?: readonly AnyWorkflow[];
}

/**
 * Begins a workflow. Throws `invalid_config` or `duplicate_name`, as every node does, when it is declared wrongly.
 *
 * @example
 * export const orderProcessing = workflow("order-processing")
 *   .input(z.object({ orderId: z.string() }))
 *   .step(validateOrder).withRetry({ maxAttempts: 3, backoff: "exponential" })
 *   .parallel([sendEmail, updateInventory, trackAnalytics]);
 */
// biome-ignore lint/suspicious/noExplicitAny: the input is not known yet where a key leaves its parameter without a type
export function workflow<const Name extends string, K = any>(
  name: Name,
  options: WorkflowOptions<K> = {},
): {
  /** The contract of the run's input; its keys are the scope at the start. */
  input<I extends z.ZodObject>(
    input: I &
      (z.output<I> extends K
        ? unknown
        : TsdevTypeError<"the key of `concurrency` reads what this input does not have">),
  ): Workflow<Name, I, PairsOf<z.output<I>>, never>;
} {
  const source = callerOf(workflow);
  checkWorkflow(name, options);
  const { concurrency, previous = [] } = options;
  return {
    input: (input) =>
      new RuntimeChain(name, {
        name,
        input,
        source,
        limit: concurrency?.limit,
        concurrencyKey: concurrency?.key,
        previous,
      }) as never,
  };
}
