// Scope types: a flat union of [key, type] pairs, which stays cheap for the compiler where a growing object type does
// not (60 steps compile in a fifth of a second), and what each node adds to it.
import type { z } from "zod";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyWorkflow, Collected } from "./definition.ts";

export type Pair = readonly [key: string, type: unknown];

/** The scope as the object that functions see. */
export type ScopeOf<S extends Pair> = { [P in S as P[0]]: P[1] };

/** An object type as pairs. */
export type PairsOf<T> = T extends object
  ? T extends readonly unknown[]
    ? never
    : KnownKeys<T> extends infer K extends keyof T & string
      ? { [Key in K]-?: readonly [Key, T[Key]] }[K]
      : never
  : never;

/** The keys that are spelled out, without an index signature (an empty Zod object has one). */
export type KnownKeys<T> = keyof { [K in keyof T & string as string extends K ? never : K]: true };

/** Objects that are one value: their keys, if any, are no keys of a scope. */
type OneValue =
  | readonly unknown[]
  | ((...args: never[]) => unknown)
  | Date
  | RegExp
  | URL
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBuffer
  | ArrayBufferView
  | AsyncIterable<unknown>;
/** `true` when an output, or one of several that it may be, has no keys to add. `undefined` and `null` add none, and may. */
export type HasNoKeys<T> = 0 extends 1 & T ? false : true extends EachHasNoKeys<T> ? true : false;
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without a result returns, beside what others do
type EachHasNoKeys<T> = T extends object | null | undefined | void
  ? T extends OneValue
    ? true
    : false
  : unknown extends T
    ? false
    : true;

/** The type that the scope has under a key; `never` when it has none. */
export type TypeAt<S extends Pair, K> = Extract<S, readonly [K, unknown]>[1];

type Output<P extends AnyProcedure> = z.output<P["output"]>;

/** The id a step or a call gets: `as`, else the name. */
export type IdOf<N extends { readonly name: string }, As> = As extends string ? As : N["name"];
/** What a step adds: the keys of its output, or one key. */
export type StepPairs<P extends AnyProcedure, As> = As extends string ? readonly [As, Output<P>] : PairsOf<Output<P>>;
/** What a `run` node's function adds: the keys of the object it returns, or one key. */
export type RunPairs<R, As> = As extends string ? readonly [As, R] : PairsOf<R>;
/** The pairs that all branches of `.parallel` add. */
export type BranchPairs<Ps extends readonly AnyProcedure[]> = {
  [I in keyof Ps]: StepPairs<Ps[I], undefined>;
}[number];

/** What a child's run answers: its whole scope at the end. */
export type EndOf<W extends AnyWorkflow> = W extends { readonly "~output"?: infer O } ? NonNullable<O> : never;

/** The nodes inside another node, as its function returns them. */
export interface AnyBranch {
  readonly kind: "branch";
  readonly "~pairs"?: Pair;
  readonly "~ids"?: string;
}
/** The branch that was not given. */
export interface NoBranch extends AnyBranch {
  readonly "~pairs"?: never;
  readonly "~ids"?: never;
}

export type PairsIn<B extends AnyBranch> = NonNullable<B["~pairs"]>;
export type IdsIn<B extends AnyBranch> = NonNullable<B["~ids"]>;
/** What a branch adds to the scope it began with. */
export type Added<Before extends Pair, B extends AnyBranch> = Exclude<PairsIn<B>, Before>;

/**
 * What is in the scope after one of several branches ran, of which `Rs` has the pairs that each adds: a key of all has
 * the union of their types, a key of some is `undefined` too.
 */
export type MergedPairs<Rs extends Readonly<Record<string, Pair>>> = Rs[keyof Rs][0] extends infer K extends string
  ? { [Key in K]: readonly [Key, { [R in keyof Rs]: TypeOrUndefined<Rs[R], Key> }[keyof Rs]] }[K]
  : never;
type TypeOrUndefined<S extends Pair, K> = [Extract<S, readonly [K, unknown]>] extends [never]
  ? undefined
  : TypeAt<S, K>;

/** The scope of an `.each` body: an inner `item` and `index` stand before outer ones. */
export type EachScope<S extends Pair, Item> =
  | Without<S, "item" | "index">
  | readonly ["item", Item]
  | readonly ["index", number];
/** The scope of a `.repeat` body: `round` is counted from 0. */
export type RoundScope<S extends Pair> = Without<S, "round"> | readonly ["round", number];
type Without<S extends Pair, K extends string> = S extends readonly [K, unknown] ? never : S;

/** One element of the list that `.each` adds. */
export type EachElement<Keys extends Pair, OnError> = OnError extends "collect"
  ? Collected<ScopeOf<Keys>>
  : ScopeOf<Keys>;

/** What each case of `.match` adds. */
export type CasePairs<Before extends Pair, Cs> = { [C in keyof Cs & string]: Added<Before, AsBranch<Cs[C]>> };
export type CaseIds<Cs> = { [C in keyof Cs & string]: IdsIn<AsBranch<Cs[C]>> }[keyof Cs & string];
type AsBranch<B> = B extends AnyBranch ? B : never;
