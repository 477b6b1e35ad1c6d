// Recorded call: hands input, output or error of one attempt to the recorder, and fails or delays nothing by it.
import { errorType } from "../policies/transient.ts";
import { type CallFailure, type CallRecord, type Recorder, recordLimit } from "../recorder.ts";
import { DeclaredError } from "./declared-error.ts";
import type { AnyProcedure, DeclaredErrors } from "./procedure.ts";
import { redact } from "./redaction.ts";

/**
 * Runs `attempt` and records it when the recorder wants this call. The input is written down before the attempt, which may
 * change it.
 */
export async function recordedCall<T>(
  recorder: Recorder,
  procedure: AnyProcedure,
  input: unknown,
  attempt: () => Promise<T>,
): Promise<T> {
  const finish = begin(recorder, procedure, input);
  if (!finish) return attempt();
  try {
    const output = await attempt();
    finish(() => ({ output: textOf(redact(procedure.output, within(output))), error: null }));
    return output;
  } catch (error) {
    finish(() => ({ output: "null", error: failureOf(procedure, error) }));
    throw error;
  }
}

type Outcome = Pick<CallRecord, "output" | "error">;

function begin(
  recorder: Recorder,
  procedure: AnyProcedure,
  input: unknown,
): ((outcome: () => Outcome) => void) | undefined {
  return quietly<((outcome: () => Outcome) => void) | undefined>(() => {
    const take = recorder.call?.(procedure.name);
    if (!take) return undefined;
    const text = textOf(redact(procedure.input, within(input)));
    return (outcome) => quietly(() => take({ procedure: procedure.name, input: text, ...outcome() }));
  });
}

/** What cannot be recorded (too long, circular, no JSON) is left out without a word. */
function quietly<T>(record: () => T): T | undefined {
  try {
    return record();
  } catch {
    return undefined;
  }
}

function failureOf(procedure: AnyProcedure, error: unknown): CallFailure {
  const type = errorType(error);
  const message = (error instanceof Error ? error.message : String(error)).slice(0, recordLimit);
  const errors: DeclaredErrors = procedure.errors;
  if (!DeclaredError.is(error) || error.data === undefined || error.procedure !== procedure.name) {
    return { type, message };
  }
  const contract = errors[error.code]?.data;
  return contract ? { type, message, data: textOf(redact(contract, within(error.data))) } : { type, message };
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? "null";
}

/** The value, or an error when it is longer than a recording: found out without looking at more of it than that. */
function within(value: unknown): unknown {
  const open: unknown[] = [value];
  let size = 0;
  while (open.length > 0) {
    const item = open.pop();
    size += sizeOf(item, open);
    if (size > recordLimit) throw new RangeError("longer than a recording");
  }
  return value;
}

/** Characters of JSON, about; what is inside goes onto `open`. A circle grows until it is too long. */
function sizeOf(item: unknown, open: unknown[]): number {
  if (typeof item === "string") return item.length + 2;
  if (typeof item !== "object" || item === null) return 5;
  // A byte is a number and a comma there.
  if (ArrayBuffer.isView(item)) return item.byteLength * 4;
  if (Array.isArray(item)) {
    if (item.length > recordLimit) return item.length;
    for (const inner of item) open.push(inner);
    return 2;
  }
  let size = 2;
  for (const key in item) {
    size += key.length + 4;
    if (size > recordLimit) break;
    open.push((item as Record<string, unknown>)[key]);
  }
  return size;
}
