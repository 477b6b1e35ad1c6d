// Procedure: a named async function with a contract for what goes in and out, and what it says of its effects.
import type { z } from "zod";
import type { Log } from "../log.ts";
import { callerOf, type SourceLocation } from "../source-location.ts";

/** What a handler gets beside its input. */
export interface ProcedureContext {
  /** Aborts when the caller gives up or the time limit passes; hand it to `fetch` and the like. */
  readonly signal: AbortSignal;
  /** The same for every attempt of one step of one run, also after a worker died: hand it to services that dedupe. */
  readonly idempotencyKey: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly log: Log;
  /** Set inside a workflow's run. */
  readonly runId?: string;
  readonly workflow?: string;
  /** The id of the node. */
  readonly node?: string;
}

/** Resources a procedure touches, by any names the team agrees on, such as table names. Undeclared means unknown. */
export interface Effects {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

export interface Procedure<
  Name extends string = string,
  I extends z.ZodType = z.ZodType,
  O extends z.ZodType = z.ZodType,
> {
  readonly kind: "procedure";
  readonly name: Name;
  readonly input: I;
  readonly output: O;
  readonly effects: Effects | undefined;
  /** True: running it twice with one input leaves what running it once leaves. */
  readonly idempotent: boolean | undefined;
  /** Where it is declared. */
  readonly source: SourceLocation | undefined;
  handler(input: z.output<I>, context: ProcedureContext): z.input<O> | Promise<z.input<O>>;
}

// biome-ignore lint/suspicious/noExplicitAny: stands for a procedure of any contract; the contract checks at run time
export type AnyProcedure = Procedure<string, any, any>;

/** What a caller passes. */
export type InputOf<P extends AnyProcedure> = z.input<P["input"]>;
/** What a caller gets. */
export type OutputOf<P extends AnyProcedure> = z.output<P["output"]>;

/**
 * Declares a procedure.
 *
 * @example
 * export const validateOrder = procedure({
 *   name: "validateOrder",
 *   input: z.object({ orderId: z.string() }),
 *   output: z.object({ email: z.email(), total: z.number() }),
 *   effects: { reads: ["orders"], writes: [] },
 *   idempotent: true,
 *   handler: async ({ orderId }, ctx) => loadOrder(orderId, ctx.signal),
 * });
 */
export function procedure<const Name extends string, I extends z.ZodType, O extends z.ZodType>(parts: {
  name: Name;
  input: I;
  output: O;
  effects?: Effects;
  idempotent?: boolean;
  handler: (input: z.output<I>, context: ProcedureContext) => z.input<O> | Promise<z.input<O>>;
}): Procedure<Name, I, O> {
  return Object.freeze({
    kind: "procedure" as const,
    name: parts.name,
    input: parts.input,
    output: parts.output,
    effects: parts.effects,
    idempotent: parts.idempotent,
    source: callerOf(procedure),
    handler: parts.handler,
  });
}
