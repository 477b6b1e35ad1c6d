// Executes one step or run node: attempts under its policies, each under a span. Order: retry(timeout(attempt)).
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Attributes, Span } from "@opentelemetry/api";
import { TaskCancelledError, TimeoutStrategy, timeout } from "cockatiel";
import { digest } from "../digest.ts";
import { TsdevError } from "../errors.ts";
import type { RetryIr, RunIr, StepIr, TimeoutIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import { backoffOf } from "../policies/backoff.ts";
import { isTransient } from "../policies/transient.ts";
import { callIn } from "../procedures/call.ts";
import type { ProcedureContext } from "../procedures/procedure.ts";
import {
  ATTR_ATTEMPT_BACKOFF_MS,
  ATTR_ATTEMPT_EXHAUSTED,
  ATTR_ATTEMPT_MAX,
  ATTR_ATTEMPT_NUMBER,
  ATTR_ATTEMPT_WILL_RETRY,
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_LINE_NUMBER,
  ATTR_INPUT_DIGEST,
  ATTR_NODE_ID,
  ATTR_NODE_OP,
  ATTR_NODE_PARALLEL,
  ATTR_NODE_PROCEDURE,
  ATTR_NODE_READS,
  ATTR_NODE_WRITES,
  ATTR_WORKFLOW_NAME,
  ATTR_WORKFLOW_RUN_ID,
  spanNames,
} from "../semantic-conventions.ts";
import { failSpan, inSpan, startSpan, withSpan } from "../spans.ts";
import type { NodeCode, Scope } from "../workflows/workflow.ts";
import { addedKeys, readInput, trackReads } from "./scope.ts";

/** What every node of one run shares. */
export interface RunFrame {
  readonly runId: string;
  readonly workflow: string;
  readonly signal: AbortSignal;
}

/** The node's policies, those of a parallel node around it included. */
export interface NodePlan {
  readonly node: StepIr | RunIr;
  readonly code: NodeCode;
  readonly retry: RetryIr | undefined;
  readonly timeout: TimeoutIr | undefined;
  /** The id of the parallel node around it. */
  readonly parallel: string | undefined;
}

/** A node that failed after its last attempt. */
export class NodeFailed extends Error {
  readonly node: string;
  readonly attempts: number;

  constructor(node: string, attempts: number, cause: unknown) {
    super(`step "${node}" failed`, { cause });
    this.node = node;
    this.attempts = attempts;
  }
}

/**
 * Runs the node to its output, then `finish` with it, all within the step's span. `finish` stores the output.
 * Throws NodeFailed for what the step threw, and whatever `finish` throws.
 */
export function executeNode(
  plan: NodePlan,
  scope: Scope,
  frame: RunFrame,
  finish: (output: unknown) => Promise<void>,
): Promise<unknown> {
  const { node } = plan;
  return inSpan(spanNames.step(node.id), attributesOf(plan, frame), async (span) => {
    const reads = new Set<string>();
    try {
      const output = await attempts(plan, scope, reads, frame);
      span.setAttribute(ATTR_NODE_WRITES, JSON.stringify(addedKeys(node, output)));
      await finish(output);
      return output;
    } finally {
      span.setAttribute(ATTR_NODE_READS, JSON.stringify([...reads]));
    }
  });
}

async function attempts(plan: NodePlan, scope: Scope, reads: Set<string>, frame: RunFrame): Promise<unknown> {
  const { node, retry } = plan;
  const max = retry?.maxAttempts ?? 1;
  const nextBackoff = retry && backoffOf(retry);
  const idempotencyKey = keyOf(frame.runId, node.id);
  const tracked = trackReads(scope, reads);
  let input: unknown;
  try {
    input = node.op === "run" ? tracked : readInput(plan.code, tracked, reads);
  } catch (cause) {
    throw new NodeFailed(node.id, 0, cause);
  }
  for (let number = 1; ; number++) {
    const span = startSpan(spanNames.attempt(number), {
      [ATTR_WORKFLOW_NAME]: frame.workflow,
      [ATTR_NODE_ID]: node.id,
      [ATTR_ATTEMPT_NUMBER]: number,
      [ATTR_ATTEMPT_MAX]: max,
    });
    if (span.isRecording()) span.setAttribute(ATTR_INPUT_DIGEST, digest(input === tracked ? scope : input));
    let wait: number;
    try {
      return await withSpan(span, () =>
        limited(plan.timeout, node.id, frame.signal, (signal) =>
          invoke(plan, input, {
            signal,
            idempotencyKey,
            attempt: number,
            runId: frame.runId,
            workflow: frame.workflow,
            node: node.id,
            log: createLog({ workflow: frame.workflow, runId: frame.runId, node: node.id }),
          }),
        ),
      );
    } catch (error) {
      const retryable = !frame.signal.aborted && isTransient(error);
      const again = retryable && nextBackoff !== undefined && number < max;
      failAttempt(span, error, again, retryable && !again);
      if (!again) throw frame.signal.aborted ? frame.signal.reason : new NodeFailed(node.id, number, error);
      wait = nextBackoff();
      span.setAttribute(ATTR_ATTEMPT_BACKOFF_MS, wait);
    } finally {
      span.end();
    }
    await sleep(wait, undefined, { signal: frame.signal }).catch(() => frame.signal.throwIfAborted());
  }
}

function failAttempt(span: Span, error: unknown, willRetry: boolean, exhausted: boolean): void {
  span.setAttribute(ATTR_ATTEMPT_WILL_RETRY, willRetry);
  span.setAttribute(ATTR_ATTEMPT_EXHAUSTED, exhausted);
  failSpan(span, error);
}

async function invoke(plan: NodePlan, input: unknown, context: ProcedureContext): Promise<unknown> {
  const { procedure, run } = plan.code;
  if (procedure) return callIn(procedure, input, context);
  return run?.(input as Scope, context);
}

/** Runs `fn` within the time limit and until the run is aborted, whether or not `fn` minds its signal. */
async function limited<T>(
  limit: TimeoutIr | undefined,
  node: string,
  signal: AbortSignal,
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!limit) return untilAborted(signal, fn);
  try {
    // abortOnReturn off: a body may hand on a stream that outlives it.
    const policy = timeout(limit.ms, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false });
    return await policy.execute(({ signal: inner }) => fn(inner), signal);
  } catch (error) {
    if (!(error instanceof TaskCancelledError)) throw error;
    signal.throwIfAborted();
    throw new TsdevError("timeout", {
      message: `step "${node}" took longer than ${limit.ms} ms`,
      fix: "raise .withTimeout, or find what is slow in the trace of the run",
    });
  }
}

function untilAborted<T>(signal: AbortSignal, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    fn(signal)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** One key per node and run: the same whoever runs it, and however often. */
function keyOf(runId: string, node: string): string {
  return createHash("sha256").update(`${runId}\0${node}`).digest("hex").slice(0, 32);
}

function attributesOf({ node, code, parallel }: NodePlan, frame: RunFrame): Attributes {
  return {
    [ATTR_WORKFLOW_NAME]: frame.workflow,
    [ATTR_WORKFLOW_RUN_ID]: frame.runId,
    [ATTR_NODE_ID]: node.id,
    [ATTR_NODE_OP]: node.op,
    ...(node.op === "step" ? { [ATTR_NODE_PROCEDURE]: node.procedure } : {}),
    ...(parallel === undefined ? {} : { [ATTR_NODE_PARALLEL]: parallel }),
    ...(code.source ? { [ATTR_CODE_FILE_PATH]: code.source.file, [ATTR_CODE_LINE_NUMBER]: code.source.line } : {}),
  };
}
