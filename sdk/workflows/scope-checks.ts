// Scope checks: types that are `unknown` when a node fits after the scope, and else a sentence that the compiler shows.
import type { z } from "zod";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "./definition.ts";
import type { AnyEvent } from "./event.ts";
import type {
  AnyBranch,
  HasNoKeys,
  IdOf,
  IdsIn,
  KnownKeys,
  Pair,
  RunPairs,
  ScopeOf,
  StepPairs,
  TypeAt,
} from "./scope.ts";

/** An error as a type: the compiler shows the sentence. */
export interface TsdevTypeError<Message extends string> {
  readonly "~tsdevTypeError": Message;
}

type IsAny<T> = 0 extends 1 & T ? true : false;
type RequiredKeys<T> = {
  [K in keyof T & string]-?: string extends K ? never : object extends Pick<T, K> ? never : K;
}[keyof T & string];
/** A type as a word, as far as a sentence can hold one. */
type WordFor<T> = [T] extends [undefined | null]
  ? "undefined"
  : `${WordForValue<NonNullable<T>>}${[undefined] extends [T] ? " or undefined" : ""}`;
type WordForValue<T> = [T] extends [string]
  ? "string"
  : [T] extends [number]
    ? "number"
    : [T] extends [boolean]
      ? "boolean"
      : [T] extends [Date]
        ? "Date"
        : [T] extends [readonly unknown[]]
          ? "list"
          : [T] extends [object]
            ? "object"
            : "another type";
/** Empty where both types have one word, so that the difference is inside them. */
type Difference<Held, Wanted> =
  WordFor<Held> extends WordFor<Wanted> ? "" : ` (held: ${WordFor<Held>}; wanted: ${WordFor<Wanted>})`;
type MistypedKeys<S extends Pair, I> = {
  [K in KnownKeys<I> & keyof I & S[0]]-?: [TypeAt<S, K>] extends [I[K]] ? never : K;
}[KnownKeys<I> & keyof I & S[0]];

/** A sentence for each of the keys. */
type Mistyped<S extends Pair, I, Who extends string, K> = K extends keyof I & string
  ? `${Who} reads '${K}', which the scope holds as another type${Difference<TypeAt<S, K>, I[K]>}: map it with { with }`
  : never;

/** Whether the scope has what `Who` reads: the keys of its input `I`. */
export type CheckReads<S extends Pair, I, Who extends string> =
  IsAny<I> extends true
    ? unknown
    : unknown extends I
      ? unknown
      : [I] extends [undefined]
        ? unknown
        : I extends object
          ? I extends readonly unknown[]
            ? NotAnObject<Who>
            : [Exclude<RequiredKeys<I>, S[0]>] extends [never]
              ? [MistypedKeys<S, I>] extends [never]
                ? unknown
                : TsdevTypeError<Mistyped<S, I, Who, MistypedKeys<S, I>>>
              : TsdevTypeError<`${Who} needs '${Exclude<RequiredKeys<I>, S[0]>}', which neither the input nor an earlier step provides`>
          : NotAnObject<Who>;

type NotAnObject<Who extends string> =
  TsdevTypeError<`${Who} takes an input that is not an object: map it with { with }`>;

/** Whether an id is free; of names that the compiler does not know it is told when the workflow is declared. */
export type CheckId<Ids extends string, Id extends string> = string extends Id | Ids
  ? unknown
  : [Id & Ids] extends [never]
    ? unknown
    : TsdevTypeError<`'${Id}' is already the id of a node in this workflow: give this one another with { as }`>;

type CheckWrites<S extends Pair, Who extends string, Added extends Pair> = string extends Added[0] | S[0]
  ? unknown
  : [Added[0] & S[0]] extends [never]
    ? unknown
    : TsdevTypeError<`step '${Who}' writes '${Added[0] & S[0]}', which the scope already has: nest its output with { as }`>;

export type CheckStep<S extends Pair, Ids extends string, P extends AnyProcedure, As, Mapped extends boolean> =
  CheckId<Ids, IdOf<P, As>> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : (
          Mapped extends true
            ? unknown
            : CheckReads<S, z.input<P["input"]>, `step '${P["name"]}'`>
        ) extends TsdevTypeError<infer M>
      ? TsdevTypeError<M>
      : CheckWrites<S, P["name"], StepPairs<P, As>>;

/** What the compiler shows when a chain goes on after an output without keys. */
export type KeylessSentence<Name extends string> =
  `the output of '${Name}' is no object, so it has no keys to add: name it with .as("key")`;

type OtherPairs<Ps extends readonly AnyProcedure[], I> = {
  [J in keyof Ps]: J extends I ? never : StepPairs<Ps[J], undefined>;
}[number];
type OtherNames<Ps extends readonly AnyProcedure[], I> = {
  [J in keyof Ps]: J extends I ? never : Ps[J]["name"];
}[number];

type CheckBranch<S extends Pair, Ids extends string, Ps extends readonly AnyProcedure[], I, P extends AnyProcedure> =
  CheckStep<S, Ids | OtherNames<Ps, I>, P, undefined, false> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : HasNoKeys<z.output<P["output"]>> extends true
      ? TsdevTypeError<`the output of '${P["name"]}' is no object, so it has no keys to add: make it an object, or write it as a step with { as }`>
      : [StepPairs<P, undefined>[0] & OtherPairs<Ps, I>[0]] extends [never]
        ? unknown
        : TsdevTypeError<`two parallel branches write '${StepPairs<P, undefined>[0] & OtherPairs<Ps, I>[0]}'`>;

/** For each branch of `.parallel` `unknown`, or the sentence that says why it does not fit. */
export type CheckBranches<S extends Pair, Ids extends string, Ps extends readonly AnyProcedure[]> = {
  [I in keyof Ps]: CheckBranch<S, Ids, Ps, I, Ps[I]>;
};

export type CheckRun<S extends Pair, Ids extends string, Id extends string, R, As> =
  CheckId<Ids, Id> extends TsdevTypeError<infer M> ? TsdevTypeError<M> : CheckWrites<S, Id, RunPairs<R, As>>;

/** A node whose id is also the one key that it adds. */
export type CheckKey<S extends Pair, Ids extends string, Id extends string> =
  CheckId<Ids, Id> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : string extends Id | S[0]
      ? unknown
      : [Id & S[0]] extends [never]
        ? unknown
        : TsdevTypeError<`'${Id}' adds the key '${Id}', which the scope already has: give it another name`>;

export type CheckCall<S extends Pair, Ids extends string, W extends AnyWorkflow, As, Mapped extends boolean> =
  CheckKey<S, Ids, IdOf<W, As>> extends TsdevTypeError<infer M>
    ? TsdevTypeError<M>
    : Mapped extends true
      ? unknown
      : CheckReads<S, z.input<W["input"]>, `workflow '${W["name"]}'`>;

/**
 * Whether every value of `.match` has a branch, no case is in vain, and no two have a node of one id. While the compiler
 * does not know the value yet, `V` is its bound.
 */
export type CheckCases<V extends string | number | boolean, Before extends string, Cs, O extends AnyBranch> = [
  string | number | boolean,
] extends [V]
  ? unknown
  : string extends `${V}`
    ? IfNoBranch<O, TsdevTypeError<"the value may be any text: give a branch for all others after the cases">>
    : [Exclude<keyof Cs & string, `${V}`>] extends [never]
      ? [Exclude<`${V}`, keyof Cs>] extends [never]
        ? CheckCaseIds<Before, Cs>
        : IfNoBranch<
            O,
            TsdevTypeError<`the value may be '${Exclude<`${V}`, keyof Cs>}', which has no case: add it, or a branch for all others`>,
            CheckCaseIds<Before, Cs>
          >
      : TsdevTypeError<`the value is never '${Exclude<keyof Cs & string, `${V}`>}': take this case away`>;
type IfNoBranch<O extends AnyBranch, Then, Else = unknown> = [O["~ids"]] extends [undefined] ? Then : Else;

type NewIds<Before extends string, B> = B extends AnyBranch ? Exclude<IdsIn<B>, Before> : never;
type OtherIds<Before extends string, Cs, C> = {
  [D in keyof Cs]: D extends C ? never : NewIds<Before, Cs[D]>;
}[keyof Cs];
type SharedIds<Before extends string, Cs> = {
  [C in keyof Cs]: NewIds<Before, Cs[C]> & OtherIds<Before, Cs, C>;
}[keyof Cs];
type CheckCaseIds<Before extends string, Cs> = [SharedIds<Before, Cs>] extends [never]
  ? unknown
  : TsdevTypeError<`'${SharedIds<Before, Cs>}' is the id of nodes in two cases: give one another with { as }`>;

/** Whether one may wait for an event without saying which: an event with a key is about one of many things. */
export type CheckUnkeyed<E extends AnyEvent> = undefined extends E["key"]
  ? unknown
  : TsdevTypeError<`event '${E["name"]}' has a key: say which one is meant with { key: (scope) => … }`>;

/** The option that says which of the events is meant: there where the event has a key, and only there. */
export type KeyOption<S extends Pair, E extends AnyEvent> = [E["key"]] extends [undefined]
  ? { key?: TsdevTypeError<`event '${E["name"]}' has no key: give it one where it is declared, or wait without`> }
  : undefined extends E["key"]
    ? { key?: (scope: ScopeOf<S>) => string }
    : { key: (scope: ScopeOf<S>) => string };
