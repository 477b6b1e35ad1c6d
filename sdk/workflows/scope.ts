// Scope types: a flat union of [key, type] pairs, which stays cheap for the compiler where a growing object type does
// not (60 steps compile in a fifth of a second), and the checks that make misuse of a chain fail with a sentence.
import type { z } from "zod";
import type { AnyProcedure } from "../procedures/procedure.ts";

export type Pair = readonly [key: string, type: unknown];

/** An error as a type: the compiler shows the sentence. */
export interface TsdevTypeError<Message extends string> {
  readonly "~tsdevTypeError": Message;
}

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
type KnownKeys<T> = keyof { [K in keyof T & string as string extends K ? never : K]: true };

type IsAny<T> = 0 extends 1 & T ? true : false;
type RequiredKeys<T> = {
  [K in keyof T & string]-?: string extends K ? never : object extends Pick<T, K> ? never : K;
}[keyof T & string];
type TypeAt<S extends Pair, K> = Extract<S, readonly [K, unknown]>[1];
type Input<P extends AnyProcedure> = z.input<P["input"]>;
type Output<P extends AnyProcedure> = z.output<P["output"]>;

/** The id a step gets, and the pairs it adds. */
export type StepId<P extends AnyProcedure, As> = As extends string ? As : P["name"];
export type StepPairs<P extends AnyProcedure, As> = As extends string ? readonly [As, Output<P>] : PairsOf<Output<P>>;

type MistypedKeys<S extends Pair, I> = {
  [K in KnownKeys<I> & keyof I & S[0]]-?: [TypeAt<S, K>] extends [I[K]] ? never : K;
}[KnownKeys<I> & keyof I & S[0]];

type CheckReads<S extends Pair, P extends AnyProcedure> =
  IsAny<Input<P>> extends true
    ? unknown
    : unknown extends Input<P>
      ? unknown
      : [Input<P>] extends [undefined]
        ? unknown
        : Input<P> extends object
          ? Input<P> extends readonly unknown[]
            ? NotAnObject<P>
            : [Exclude<RequiredKeys<Input<P>>, S[0]>] extends [never]
              ? [MistypedKeys<S, Input<P>>] extends [never]
                ? unknown
                : TsdevTypeError<`step '${P["name"]}' reads '${MistypedKeys<S, Input<P>>}', which the scope holds as another type: map it with { with }`>
              : TsdevTypeError<`step '${P["name"]}' needs '${Exclude<RequiredKeys<Input<P>>, S[0]>}', which neither the input nor an earlier step provides`>
          : NotAnObject<P>;

type NotAnObject<P extends AnyProcedure> =
  TsdevTypeError<`step '${P["name"]}' takes an input that is not an object: map it with { with }`>;

type CheckId<Ids extends string, Id extends string> = string extends Id
  ? unknown
  : [Id & Ids] extends [never]
    ? unknown
    : TsdevTypeError<`'${Id}' is already the id of a node in this workflow: give this one another with { as }`>;

type CheckWrites<S extends Pair, Who extends string, Added extends Pair> = string extends Added[0]
  ? unknown
  : [Added[0] & S[0]] extends [never]
    ? unknown
    : TsdevTypeError<`step '${Who}' writes '${Added[0] & S[0]}', which the scope already has: nest its output with { as }`>;

/** `unknown` when the step fits after the scope, else a sentence as a type. */
export type CheckStep<S extends Pair, Ids extends string, P extends AnyProcedure, As, Mapped extends boolean> =
  CheckId<Ids, StepId<P, As>> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : (Mapped extends true ? unknown : CheckReads<S, P>) extends TsdevTypeError<infer M>
      ? TsdevTypeError<M>
      : CheckWrites<S, P["name"], StepPairs<P, As>>;

/** The pairs that all branches add. */
export type BranchPairs<Ps extends readonly AnyProcedure[]> = {
  [I in keyof Ps]: StepPairs<Ps[I], undefined>;
}[number];

type OtherPairs<Ps extends readonly AnyProcedure[], I> = {
  [J in keyof Ps]: J extends I ? never : StepPairs<Ps[J], undefined>;
}[number];
type OtherNames<Ps extends readonly AnyProcedure[], I> = {
  [J in keyof Ps]: J extends I ? never : Ps[J]["name"];
}[number];

type CheckBranch<S extends Pair, Ids extends string, Ps extends readonly AnyProcedure[], I, P extends AnyProcedure> =
  CheckStep<S, Ids | OtherNames<Ps, I>, P, undefined, false> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : [StepPairs<P, undefined>[0] & OtherPairs<Ps, I>[0]] extends [never]
      ? unknown
      : TsdevTypeError<`two parallel branches write '${StepPairs<P, undefined>[0] & OtherPairs<Ps, I>[0]}'`>;

/** For each branch `unknown`, or the sentence that says why it does not fit. */
export type CheckBranches<S extends Pair, Ids extends string, Ps extends readonly AnyProcedure[]> = {
  [I in keyof Ps]: CheckBranch<S, Ids, Ps, I, Ps[I]>;
};

/** What a `run` node's function adds: the keys of the object it returns. */
export type RunPairs<R, As> = As extends string ? readonly [As, R] : PairsOf<R>;

export type CheckRun<S extends Pair, Ids extends string, Id extends string, R, As> =
  CheckId<Ids, Id> extends TsdevTypeError<infer M> ? TsdevTypeError<M> : CheckWrites<S, Id, RunPairs<R, As>>;
