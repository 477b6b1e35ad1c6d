// Procedure: a named async function with a contract for what goes in and out, and what it says of its effects.
import type { z } from "zod";
import type { Log } from "../log.ts";
import { checkPolicies } from "../policies/check-policy.ts";
import type { ProcedurePolicies } from "../policies/policies.ts";
import { callerOf, type SourceLocation } from "../source-location.ts";
import { checkParts, type routeMethods } from "./check-parts.ts";
import { checkDeclaredErrors, type Fail } from "./declared-error.ts";

/** Who calls. An app's `authenticate` makes it from a request; runs keep that of whoever started them. */
export interface Principal {
  readonly id: string;
  readonly roles?: readonly string[];
  /** Anything else that the app knows of the caller, as JSON. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** What a handler gets beside its input. */
export interface ProcedureContext {
  /** Aborts when the caller gives up or the time limit passes; hand it to `fetch` and the like. */
  readonly signal: AbortSignal;
  /** The same for every attempt of one step of one run, also after a worker died: hand it to services that dedupe. */
  readonly idempotencyKey: string;
  /** Counted from 1. */
  readonly attempt: number;
  readonly log: Log;
  /** Undefined: nobody was authenticated. */
  readonly principal?: Principal;
  /** Set inside a workflow's run. */
  readonly runId?: string;
  readonly workflow?: string;
  /** The path of the node, such as `charge` or `texts[3]/ocr`. */
  readonly node?: string;
}

/** Resources a procedure touches, by any names the team agrees on, such as table names. Undeclared means unknown. */
export interface Effects {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/** How a procedure stands in the REST API. Without it a procedure is reached by `POST /rpc/{name}` alone. */
export interface HttpRoute {
  readonly method: (typeof routeMethods)[number];
  /** `/orders/:orderId`: parameters are keys of the input. */
  readonly path: `/${string}`;
  /** Of a success. Default 200, or 204 where there is no output. */
  readonly status?: number;
  /** Keys of the input that come from the query. Default: with GET and DELETE all that the path does not name. */
  readonly query?: readonly string[];
  /** Header by key of the input, for example `{ ifMatch: "if-match" }`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
}

/** An error that callers are told of by name: its HTTP status, and what it carries. */
export interface DeclaredErrorContract {
  readonly status: number;
  readonly data?: z.ZodType;
}
export type DeclaredErrors = Readonly<Record<string, DeclaredErrorContract>>;

/** What the handler of a procedure gets that declares the errors `E`. */
export interface HandlerContext<E extends DeclaredErrors> extends ProcedureContext {
  /**
   * Throws an error that the procedure declares, with the data that its contract asks for; `throw ctx.fail(…)` lets the
   * compiler see that nothing follows. Throws `invalid_output` when the data does not fit.
   */
  readonly fail: Fail<E>;
}

export interface Procedure<
  Name extends string = string,
  I extends z.ZodType = z.ZodType,
  O extends z.ZodType = z.ZodType,
  E extends DeclaredErrors = DeclaredErrors,
> {
  readonly kind: "procedure";
  readonly name: Name;
  readonly summary: string | undefined;
  readonly input: I;
  readonly output: O;
  readonly errors: E;
  readonly effects: Effects | undefined;
  /** True: running it twice with one input leaves what running it once leaves. */
  readonly idempotent: boolean | undefined;
  readonly policies: ProcedurePolicies;
  readonly http: HttpRoute | undefined;
  /** Where it is declared. */
  readonly source: SourceLocation | undefined;
  handler(input: z.output<I>, context: ProcedureContext): z.input<O> | Promise<z.input<O>>;
}

// biome-ignore lint/suspicious/noExplicitAny: stands for a procedure of any contract; the contract checks at run time
export type AnyProcedure = Procedure<string, any, any, any>;

/** What a caller passes. */
export type InputOf<P extends AnyProcedure> = z.input<P["input"]>;
/** What a caller gets. */
export type OutputOf<P extends AnyProcedure> = z.output<P["output"]>;

/**
 * Declares a procedure. Throws `invalid_config` naming the procedure when a part of it is wrong.
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
export function procedure<
  const Name extends string,
  I extends z.ZodType,
  O extends z.ZodType,
  // biome-ignore lint/complexity/noBannedTypes: no declared errors
  const E extends DeclaredErrors = {},
>(parts: {
  name: Name;
  /** One sentence in the imperative, for OpenAPI and for whoever composes workflows. */
  summary?: string;
  input: I;
  output: O;
  /** Errors that callers are told of by name, for example `{ out_of_stock: { status: 409, data: Left } }`. */
  errors?: E;
  effects?: Effects;
  idempotent?: boolean;
  policies?: ProcedurePolicies<z.output<I>>;
  http?: HttpRoute;
  handler: (input: z.output<I>, context: HandlerContext<E>) => z.input<O> | Promise<z.input<O>>;
}): Procedure<Name, I, O, E> {
  checkParts(parts);
  return Object.freeze({
    kind: "procedure" as const,
    name: parts.name,
    summary: parts.summary,
    input: parts.input,
    output: parts.output,
    errors: checkDeclaredErrors(parts.errors ?? ({} as E), parts.name),
    effects: parts.effects,
    idempotent: parts.idempotent,
    policies: checkPolicies((parts.policies ?? {}) as ProcedurePolicies, parts.name),
    http: parts.http,
    source: callerOf(procedure),
    // Whoever runs it adds `fail`.
    handler: parts.handler as Procedure<Name, I, O, E>["handler"],
  });
}
