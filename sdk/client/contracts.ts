// Contracts: what the client's types read of an app, a list of declarations, or a module that exports them.
import type { z } from "zod";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";
import type { ClientError } from "./client-error.ts";
import type { Answered, Jsonify } from "./jsonify.ts";
import type { CallOptions } from "./request.ts";
import type { RunHandle, RunInfo } from "./runs.ts";

type Contracts<T> = T extends { readonly "~contracts"?: infer C } ? Exclude<C, undefined> : never;

/** Those whose name the compiler knows, where there are any: one whose name is any text would stand for all others. */
type Known<D extends { readonly name: string }> = [Literal<D>] extends [never] ? D : Literal<D>;
type Literal<D extends { readonly name: string }> = D extends D ? (string extends D["name"] ? never : D) : never;

/** The procedures of an app, a list, or a module. */
export type ProceduresOf<T> = Known<AllProceduresOf<T>>;
export type WorkflowsOf<T> = Known<AllWorkflowsOf<T>>;

type AllProceduresOf<T> = [Contracts<T>] extends [never]
  ? Extract<T extends readonly (infer One)[] ? One : T[keyof T], AnyProcedure>
  : Contracts<T> extends { readonly procedures: infer P extends AnyProcedure }
    ? P
    : never;
type AllWorkflowsOf<T> = [Contracts<T>] extends [never]
  ? Extract<T extends readonly (infer One)[] ? One : T[keyof T], AnyWorkflow>
  : Contracts<T> extends { readonly workflows: infer W extends AnyWorkflow }
    ? W
    : never;

type DataOf<E> = E extends { readonly data: infer S extends z.ZodType } ? Jsonify<z.output<S>> : undefined;

type Arguments<Input> = undefined extends Input
  ? [input?: Input, options?: CallOptions]
  : // biome-ignore lint/complexity/noBannedTypes: asks whether an empty object fits
    {} extends Input
    ? [input?: Input, options?: CallOptions]
    : [input: Input, options?: CallOptions];

/** What a procedure answers a client: a stream is iterated, anything else awaited. */
export type Result<P extends AnyProcedure> =
  z.output<P["output"]> extends AsyncIterable<infer Item>
    ? AsyncIterable<Jsonify<Item>>
    : Promise<Answered<z.output<P["output"]>>>;

export interface Caller<P extends AnyProcedure> {
  (...parts: Arguments<z.input<P["input"]>>): Result<P>;
  /** True for the declared error `code`, whose data it then knows. */
  isError<Code extends keyof P["errors"] & string>(
    error: unknown,
    code: Code,
  ): error is ClientError<Code, DataOf<P["errors"][Code]>>;
}

type Head<Name extends string> = Name extends `${infer First}.${string}` ? First : Name;
type Rest<P extends AnyProcedure, First extends string, Prefix extends string> = P extends {
  name: `${Prefix}${First}.${string}`;
}
  ? P
  : never;
type Here<P extends AnyProcedure, Name extends string> = P extends { name: Name } ? P : never;
type Below<Name extends string, Prefix extends string> = Name extends `${Prefix}${infer Tail}` ? Tail : never;

/** `orders.get` is called as `client.orders.get(…)`. */
export type Tree<P extends AnyProcedure, Prefix extends string = ""> = {
  readonly [First in Head<Below<P["name"], Prefix>>]: ([Here<P, `${Prefix}${First}`>] extends [never]
    ? unknown
    : Caller<Here<P, `${Prefix}${First}`>>) &
    ([Rest<P, First, Prefix>] extends [never] ? unknown : Tree<Rest<P, First, Prefix>, `${Prefix}${First}.`>);
};

export interface StartOptions extends CallOptions {
  /** The same twice is the same run. */
  runId?: string;
}

export interface WorkflowClient<W extends AnyWorkflow> {
  /** Begins a run and answers at once. */
  start(input: WorkflowInput<W>, options?: StartOptions): Promise<RunHandle<Jsonify<WorkflowOutput<W>>>>;
  /** Begins a run and waits for its output. */
  execute(input: WorkflowInput<W>, options?: StartOptions): Promise<Jsonify<WorkflowOutput<W>>>;
  /** A run that is there. */
  run(runId: string): RunHandle<Jsonify<WorkflowOutput<W>>>;
  /** The newest first. */
  list(
    filter?: { state?: RunInfo<unknown>["state"]; limit?: number; before?: string },
    options?: CallOptions,
  ): Promise<RunInfo<Jsonify<WorkflowOutput<W>>>[]>;
}

/** The client of an app; a procedure whose name begins with `call` or `workflows` is reached by `call` alone. */
export type Client<T> = Omit<Tree<ProceduresOf<T>>, "call" | "workflows"> & {
  call<Name extends ProceduresOf<T>["name"]>(
    name: Name,
    ...parts: Parameters<Caller<Here<ProceduresOf<T>, Name>>>
  ): Result<Here<ProceduresOf<T>, Name>>;
  readonly workflows: {
    readonly [Name in WorkflowsOf<T>["name"]]: WorkflowClient<Extract<WorkflowsOf<T>, { name: Name }>>;
  };
};
