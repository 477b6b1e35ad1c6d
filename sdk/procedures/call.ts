// Call: runs a procedure under its policies, with its contract checked in and out, each attempt under a span of its own.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Attributes, trace } from "@opentelemetry/api";
import { createLog, type Log } from "../log.ts";
import { type EffectivePolicies, effectivePolicies } from "../policies/effective-policies.ts";
import { activeRecorder } from "../recorder.ts";
import {
  ATTR_ATTEMPT_MAX,
  ATTR_ATTEMPT_NUMBER,
  ATTR_CACHE_RESULT,
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_LINE_NUMBER,
  ATTR_PROCEDURE_EFFECTS_READS,
  ATTR_PROCEDURE_EFFECTS_WRITES,
  ATTR_PROCEDURE_IDEMPOTENT,
  spanNames,
  tracerName,
} from "../semantic-conventions.ts";
import { inSpan } from "../spans.ts";
import { checkAtOnce } from "./contract.ts";
import { failOf } from "./declared-error.ts";
import type { AnyProcedure, InputOf, OutputOf, Principal, ProcedureContext } from "./procedure.ts";
import { recordedCall } from "./recorded-call.ts";

export interface CallOptions {
  signal?: AbortSignal;
  /** The same for every attempt of the call. Default: a new one, so that two calls are two calls. */
  idempotencyKey?: string;
  /** On whose behalf; a handler that calls another procedure hands on its own: `{ principal: ctx.principal }`. */
  principal?: Principal | undefined;
}

/**
 * Calls a procedure outside a workflow, under its policies. Throws `invalid_input` or `invalid_output` with the `path` of
 * what is wrong, what the policies throw (`unauthenticated`, `forbidden`, `rate_limited`, `circuit_open`, `timeout`), the
 * reason of the signal, and whatever the handler throws.
 *
 * @example
 * const order = await call(validateOrder, { orderId: "o1" });
 */
export function call<P extends AnyProcedure>(
  procedure: P,
  input: InputOf<P>,
  options: CallOptions = {},
): Promise<OutputOf<P>> {
  const known = factsOf(procedure);
  const context: Writable<ProcedureContext> = {
    signal: options.signal ?? new AbortController().signal,
    idempotencyKey: options.idempotencyKey ?? randomUUID(),
    attempt: 1,
    log: known.log,
  };
  if (options.principal) context.principal = options.principal;
  const policies = effectivePolicies(procedure);
  return policies.none ? spanned(known, procedure, input, context) : callUnder(policies, procedure, input, context);
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

async function callUnder<P extends AnyProcedure>(
  policies: EffectivePolicies,
  procedure: P,
  input: unknown,
  context: ProcedureContext,
): Promise<OutputOf<P>> {
  const asked = { input, principal: context.principal, signal: context.signal };
  await policies.authorize(asked);
  const startTime = Date.now();
  const { output, result } = await policies.cached(asked, (signal) =>
    attempts(policies, procedure, input, { ...context, signal }),
  );
  if (result === "hit" || result === "stale") {
    // Nothing ran that would have a span.
    const { spanName, attributes: own } = factsOf(procedure);
    const attributes = { ...own, [ATTR_CACHE_RESULT]: result };
    trace.getTracer(tracerName).startSpan(spanName, { attributes, startTime }).end();
  }
  return output as OutputOf<P>;
}

async function attempts(
  policies: EffectivePolicies,
  procedure: AnyProcedure,
  input: unknown,
  context: ProcedureContext,
): Promise<unknown> {
  const { signal, principal } = context;
  await policies.admit({ input, principal, signal });
  const retries = policies.retries();
  for (let attempt = 1; ; attempt++) {
    const more: Attributes = {
      ...(policies.hasCache && { [ATTR_CACHE_RESULT]: "miss" }),
      ...(policies.maxAttempts > 1 && { [ATTR_ATTEMPT_NUMBER]: attempt, [ATTR_ATTEMPT_MAX]: policies.maxAttempts }),
    };
    try {
      return await policies.guarded(signal, (inner) =>
        callIn(procedure, input, { ...context, signal: inner, attempt }, more),
      );
    } catch (error) {
      const { again, waitMs } = retries.after(error, attempt, signal);
      if (!again) throw error;
      await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** One attempt within a given context and without policies: what a step of a run does, under those of its own. */
export function callIn<P extends AnyProcedure>(
  procedure: P,
  input: unknown,
  context: ProcedureContext,
  more?: Attributes,
): Promise<OutputOf<P>> {
  return spanned(factsOf(procedure), procedure, input, context, more);
}

function spanned<P extends AnyProcedure>(
  known: Facts,
  procedure: P,
  input: unknown,
  context: ProcedureContext,
  more?: Attributes,
): Promise<OutputOf<P>> {
  const attributes = more ? { ...known.attributes, ...more } : known.attributes;
  return inSpan(known.spanName, attributes, () => {
    const recorder = activeRecorder();
    if (!recorder) return bare(known, procedure, input, context);
    return recordedCall(recorder, procedure, input, () => bare(known, procedure, input, context));
  });
}

/** The same without a span and unrecorded: contract and handler, which gets its `ctx.fail`. */
export function callBare<P extends AnyProcedure>(
  procedure: P,
  input: unknown,
  context: ProcedureContext,
): Promise<OutputOf<P>> {
  return bare(factsOf(procedure), procedure, input, context);
}

async function bare<P extends AnyProcedure>(
  { fail, theInput, theOutput }: Facts,
  procedure: P,
  input: unknown,
  context: ProcedureContext,
): Promise<OutputOf<P>> {
  context.signal.throwIfAborted();
  const parsed = checkAtOnce(procedure.input, input, theInput, "invalid_input");
  const output = await procedure.handler(
    parsed instanceof Promise ? await parsed : parsed,
    fail ? ({ ...context, fail } as ProcedureContext) : context,
  );
  return checkAtOnce(procedure.output, output, theOutput, "invalid_output");
}

/** What is asked of a procedure at every call and does not change. */
interface Facts {
  readonly attributes: Attributes;
  readonly fail: ReturnType<typeof failOf>;
  readonly log: Log;
  readonly spanName: string;
  /** How an error names them. */
  readonly theInput: string;
  readonly theOutput: string;
}

const facts = new WeakMap<AnyProcedure, Facts>();

function factsOf(procedure: AnyProcedure): Facts {
  let known = facts.get(procedure);
  if (!known) {
    known = {
      attributes: attributesOf(procedure),
      fail: failOf(procedure),
      log: createLog({ procedure: procedure.name }),
      spanName: spanNames.procedure(procedure.name),
      theInput: `the input of procedure "${procedure.name}"`,
      theOutput: `the output of procedure "${procedure.name}"`,
    };
    facts.set(procedure, known);
  }
  return known;
}

function attributesOf(procedure: AnyProcedure): Attributes {
  const attributes: Attributes = {};
  if (procedure.effects) {
    attributes[ATTR_PROCEDURE_EFFECTS_READS] = JSON.stringify(procedure.effects.reads);
    attributes[ATTR_PROCEDURE_EFFECTS_WRITES] = JSON.stringify(procedure.effects.writes);
  }
  if (procedure.idempotent !== undefined) attributes[ATTR_PROCEDURE_IDEMPOTENT] = String(procedure.idempotent);
  if (procedure.source) {
    attributes[ATTR_CODE_FILE_PATH] = procedure.source.file;
    attributes[ATTR_CODE_LINE_NUMBER] = procedure.source.line;
  }
  return attributes;
}
