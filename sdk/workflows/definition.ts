// Definition: what the engine, the registry and introspection need of a workflow; the builder adds types and methods.
import type { z } from "zod";
import type { WorkflowIr } from "../ir/ir.ts";
import type { PolicyKey } from "../policies/policies.ts";
import type { AnyProcedure, ProcedureContext } from "../procedures/procedure.ts";
import type { SourceLocation } from "../source-location.ts";
import type { AnyEvent } from "./event.ts";

/** The values that a run has gathered, by key; a key is written once. */
export type Scope = Readonly<Record<string, unknown>>;

/** The code behind one node of the IR: what the IR, being JSON, cannot hold. Which fields are set depends on its op. */
export interface NodeCode {
  /** step. */
  readonly procedure?: AnyProcedure;
  /** step, call: maps the scope to the input. */
  readonly with?: (scope: Scope) => unknown;
  /** step: what undoes it; `with` sees the scope after the step. */
  readonly compensate?: { readonly procedure: AnyProcedure; readonly with?: (scope: Scope) => unknown };
  /** step, run: keys of policies. */
  readonly cacheKey?: PolicyKey<never>;
  readonly rateLimitKey?: PolicyKey<never>;
  /** run. */
  readonly run?: (scope: Scope, context: ProcedureContext) => unknown;
  /** when: a boolean. match: the case. each: the items. repeat: true when it is over. sleep: a Date. waitFor: the key. */
  readonly decide?: (scope: Scope) => unknown;
  /** waitFor. */
  readonly event?: AnyEvent;
  /** call. */
  readonly workflow?: AnyWorkflow;
  /** The line of the node in its chain. */
  readonly source: SourceLocation | undefined;
}

export interface AnyWorkflow {
  readonly kind: "workflow";
  readonly name: string;
  readonly input: z.ZodType;
  readonly ir: WorkflowIr;
  /** A digest of the IR. */
  readonly version: string;
  /** By node id, nodes inside others included. */
  readonly code: ReadonlyMap<string, NodeCode>;
  /** The key of `concurrency`, from the input. */
  readonly concurrencyKey: ((input: never) => string) | undefined;
  /** Earlier definitions of the same name whose runs may still be in flight. */
  readonly previous: readonly AnyWorkflow[];
  /** Where it is declared. */
  readonly source: SourceLocation | undefined;
}

/** What an `.approve` node adds to the scope. */
export interface Approval {
  readonly approved: boolean;
  /** Who answered; `timeout` when nobody did. */
  readonly by: string;
  readonly at: Date;
  readonly comment?: string;
}

/** One element of the list that `.each` with `onError: "collect"` adds. */
export type Collected<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };
