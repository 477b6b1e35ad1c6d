// Attempts of one step or run node, each under its policies and a span, with rows for what failed and what takes long.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Span } from "@opentelemetry/api";
import { digest } from "../digest.ts";
import { type ErrorShape, TsdevError } from "../errors.ts";
import type { LeafIr, ParallelIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import type { EffectivePolicies } from "../policies/effective-policies.ts";
import { shouldRetry } from "../policies/retry.ts";
import { callBare, callIn } from "../procedures/call.ts";
import type { ProcedureContext } from "../procedures/procedure.ts";
import { activeRecorder } from "../recorder.ts";
import {
  ATTR_ATTEMPT_BACKOFF_MS,
  ATTR_ATTEMPT_EXHAUSTED,
  ATTR_ATTEMPT_MAX,
  ATTR_ATTEMPT_NUMBER,
  ATTR_ATTEMPT_WILL_RETRY,
  ATTR_INPUT_DIGEST,
  ATTR_NODE_ID,
  ATTR_WORKFLOW_NAME,
  spanNames,
} from "../semantic-conventions.ts";
import { failSpan, startSpan, withSpan } from "../spans.ts";
import type { NodeCode, Scope } from "../workflows/definition.ts";
import type { Drive } from "./drive.ts";
import type { Place } from "./execute-body.ts";
import type { RunScope } from "./run-scope.ts";

/** A step that takes longer says that it has begun, milliseconds. */
const slowMs = 250;

/** One node on its way. */
export interface Leaf {
  readonly drive: Drive;
  readonly node: LeafIr;
  readonly around: ParallelIr | undefined;
  readonly code: NodeCode;
  readonly path: string;
  readonly place: Place;
  readonly policies: EffectivePolicies;
  /** Attempts that failed when the run was taken up before. */
  readonly failedAttempts: number;
  /** Ends the span of the node, which goes on elsewhere. */
  readonly putDown?: () => void;
}

export async function runAttempts(
  leaf: Leaf,
  input: unknown,
  tally: { attempts: number },
  signal: AbortSignal,
  scope: RunScope,
): Promise<unknown> {
  const { drive, code, path, policies } = leaf;
  const retries = policies.none ? undefined : policies.retries(leaf.failedAttempts > 0);
  for (let number = leaf.failedAttempts + 1; ; number++) {
    tally.attempts = number;
    let began: NodeJS.Timeout | undefined;
    if (code.procedure?.idempotent === false) await note(leaf, { type: "step.started", node: path });
    else began = setTimeout(sayBegan, slowMs, leaf);
    // A cached step may outlive its run, and is no effect of it alone.
    const held = policies.hasCache ? undefined : drive.held();
    if (held) await held;
    const span = drive.traced ? startAttempt(leaf, number, input, scope) : undefined;
    let nextAt: Date;
    try {
      return await (span
        ? withSpan(span, () => attempt(leaf, number, input, signal))
        : attempt(leaf, number, input, signal));
    } catch (error) {
      if (drive.stopped && drive.signal.aborted) throw drive.stopped;
      const next = retries?.after(error, number, signal);
      const again = next?.again ?? false;
      if (span) failAttempt(span, error, again, next?.exhausted ?? shouldRetry(undefined, error), next?.waitMs);
      const nextInMs = again ? Math.round(next!.waitMs) : null;
      nextAt = new Date(drive.store.now().getTime() + (nextInMs ?? 0));
      await note(leaf, {
        type: "attempt.failed",
        node: path,
        data: { attempt: number, error: shapeOf(error), nextInMs, nextAt: again ? nextAt : null },
      });
      if (!again) throw error;
    } finally {
      span?.end();
      clearTimeout(began);
    }
    await backOff(leaf, nextAt, signal);
  }
}

/** Until `nextAt`. A run that has nothing else to do is put down if that is long; whoever takes it up goes on from there. */
async function backOff({ drive, path, place, policies, putDown }: Leaf, nextAt: Date, signal: AbortSignal) {
  if (policies.hasCache) {
    // Other runs may wait for the same output, so that this one cannot be left.
    const leftMs = Math.max(0, nextAt.getTime() - drive.store.now().getTime());
    await sleep(leftMs, undefined, { signal });
  } else {
    if (putDown && drive.isLong(nextAt)) void drive.givenUp.then(putDown);
    await drive.waitForTimer(path, nextAt, place.group);
  }
}

/** Waited for until the run is stopped, whether or not the step minds its signal. */
function attempt(leaf: Leaf, number: number, input: unknown, signal: AbortSignal): Promise<unknown> {
  const { drive, policies } = leaf;
  if (policies.none) return drive.inFlight(invoke(leaf, input, contextOf(leaf, number, signal)));
  return policies.guarded(signal, (inner) => invoke(leaf, input, contextOf(leaf, number, inner)));
}

async function invoke({ drive, code }: Leaf, input: unknown, context: ProcedureContext): Promise<unknown> {
  const { procedure, run } = code;
  if (!procedure) return run!(input as Scope, context);
  return drive.traced || activeRecorder() ? callIn(procedure, input, context) : callBare(procedure, input, context);
}

/** What costs something is made when it is asked for. */
function contextOf({ drive, path }: Leaf, attempt: number, signal: AbortSignal): ProcedureContext {
  const { id: runId, workflow, principal } = drive.run;
  let log: ProcedureContext["log"] | undefined;
  let key: string | undefined;
  const context: ProcedureContext = {
    signal,
    get idempotencyKey() {
      key ??= keyOf(runId, path, drive.history?.generation(path) ?? 0);
      return key;
    },
    attempt,
    get log() {
      log ??= createLog({ workflow, runId, node: path });
      return log;
    },
    runId,
    workflow,
    node: path,
  };
  return principal === null
    ? context
    : Object.defineProperty(context, "principal", { value: principal, enumerable: true });
}

/** One key per node and run: the same whoever runs it, and however often, unless a person had it run again. */
export function keyOf(runId: string, path: string, generation: number): string {
  const again = generation === 0 ? "" : `\0${generation}`;
  return createHash("sha256").update(`${runId}\0${path}${again}`).digest("hex").slice(0, 32);
}

/** Writes a row that says how a step is doing. A cached step may outlive its run, which then has no journal any more. */
async function note({ drive, policies }: Leaf, row: Parameters<Drive["append"]>[0]): Promise<void> {
  try {
    await drive.append(row);
  } catch (error) {
    if (!policies.hasCache) throw error;
  }
}

function sayBegan(leaf: Leaf): void {
  // A failed write stops the run by itself.
  if (!leaf.drive.stopped) note(leaf, { type: "step.started", node: leaf.path }).catch(() => {});
}

export function shapeOf(error: unknown): ErrorShape {
  return TsdevError.from(error).toJSON();
}

function startAttempt({ drive, node, policies }: Leaf, number: number, input: unknown, scope: RunScope): Span {
  const span = startSpan(spanNames.attempt(number), {
    [ATTR_WORKFLOW_NAME]: drive.run.workflow,
    [ATTR_NODE_ID]: node.id,
    [ATTR_ATTEMPT_NUMBER]: number,
    [ATTR_ATTEMPT_MAX]: policies.maxAttempts,
  });
  if (span.isRecording()) span.setAttribute(ATTR_INPUT_DIGEST, digest(node.op === "run" ? scope.view() : input));
  return span;
}

function failAttempt(span: Span, error: unknown, willRetry: boolean, exhausted: boolean, waitMs = 0): void {
  span.setAttribute(ATTR_ATTEMPT_WILL_RETRY, willRetry);
  span.setAttribute(ATTR_ATTEMPT_EXHAUSTED, exhausted);
  if (willRetry) span.setAttribute(ATTR_ATTEMPT_BACKOFF_MS, waitMs);
  failSpan(span, error);
}
