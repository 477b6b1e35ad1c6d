// Call: runs a procedure with its contract checked in and out, under a span of its own.
import { randomUUID } from "node:crypto";
import type { Attributes } from "@opentelemetry/api";
import { createLog } from "../log.ts";
import {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_LINE_NUMBER,
  ATTR_PROCEDURE_EFFECTS_READS,
  ATTR_PROCEDURE_EFFECTS_WRITES,
  ATTR_PROCEDURE_IDEMPOTENT,
  spanNames,
} from "../semantic-conventions.ts";
import { inSpan } from "../spans.ts";
import { checkContract } from "./contract.ts";
import type { AnyProcedure, InputOf, OutputOf, ProcedureContext } from "./procedure.ts";

export interface CallOptions {
  signal?: AbortSignal;
  /** Default: a new one, so that two calls are two calls. */
  idempotencyKey?: string;
}

/**
 * Calls a procedure outside a workflow. Throws `invalid_input` or `invalid_output` with the `path` of what is wrong,
 * and whatever the handler throws.
 *
 * @example
 * const order = await call(validateOrder, { orderId: "o1" });
 */
export function call<P extends AnyProcedure>(
  procedure: P,
  input: InputOf<P>,
  options: CallOptions = {},
): Promise<OutputOf<P>> {
  return callIn(procedure, input, {
    signal: options.signal ?? new AbortController().signal,
    idempotencyKey: options.idempotencyKey ?? randomUUID(),
    attempt: 1,
    log: createLog({ procedure: procedure.name }),
  });
}

/** The same within a given context: a step of a run. */
export function callIn<P extends AnyProcedure>(
  procedure: P,
  input: unknown,
  context: ProcedureContext,
): Promise<OutputOf<P>> {
  return inSpan(spanNames.procedure(procedure.name), attributesOf(procedure), async () => {
    context.signal.throwIfAborted();
    const what = `procedure "${procedure.name}"`;
    const checked = await checkContract(procedure.input, input, `the input of ${what}`);
    const output = await procedure.handler(checked, context);
    return checkContract(procedure.output, output, `the output of ${what}`, "invalid_output");
  });
}

const cache = new WeakMap<AnyProcedure, Attributes>();

function attributesOf(procedure: AnyProcedure): Attributes {
  const known = cache.get(procedure);
  if (known) return known;
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
  cache.set(procedure, attributes);
  return attributes;
}
