// Executes one step or run node: attempts under its policies, each under a span, and the row of its output.
import { createHash } from "node:crypto";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Attributes, Span } from "@opentelemetry/api";
import { digest } from "../digest.ts";
import { type ErrorShape, TsdevError } from "../errors.ts";
import type { LeafIr, ParallelIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import { type EffectivePolicies, effectivePolicies } from "../policies/effective-policies.ts";
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
  ATTR_CACHE_RESULT,
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
import type { NodeCode, Scope } from "../workflows/definition.ts";
import type { Drive } from "./drive.ts";
import type { Place } from "./execute-body.ts";
import type { Past } from "./history.ts";
import { addedKeys, type RunScope, readInput, trackReads } from "./run-scope.ts";
import { Abandoned, failureOf } from "./stops.ts";

/** A step that takes longer says that it has begun, milliseconds. */
const slowMs = 250;

/** One node on its way. */
interface Leaf {
  readonly drive: Drive;
  readonly node: LeafIr;
  readonly around: ParallelIr | undefined;
  readonly code: NodeCode;
  readonly path: string;
  readonly place: Place;
  readonly policies: EffectivePolicies;
  /** Attempts that failed in an earlier worker's hands. */
  readonly failedAttempts: number;
}

/** Reads from `scope` and adds to `into`, which is another one in a parallel branch. */
export function executeLeaf(
  drive: Drive,
  node: LeafIr,
  around: ParallelIr | undefined,
  scope: RunScope,
  place: Place,
  into: RunScope,
): Promise<void> | undefined {
  const path = place.prefix + node.id;
  const past = drive.history?.of(path);
  if (past?.output) {
    into.addStored(node.as, past.output);
    noteCompensable(drive, node, path, past.seq, scope);
    return;
  }
  if (past?.failed) throw failureOf(past.failed);
  return runLeaf(drive, node, around, scope, place, into, path, past);
}

async function runLeaf(
  drive: Drive,
  node: LeafIr,
  around: ParallelIr | undefined,
  scope: RunScope,
  place: Place,
  into: RunScope,
  path: string,
  past: Past | undefined,
): Promise<void> {
  drive.checkStopped(place.group);
  const code = drive.code.get(node.id)!;
  if (past?.inFlight && code.procedure?.idempotent === false) await drive.failNode(path, interrupted(drive, path));
  const policies = policiesOf(drive, node, around, code);
  const failedAttempts = past?.failedAttempts ?? 0;
  const leaf: Leaf = { drive, node, around, code, path, place, policies, failedAttempts };
  if (!drive.traced) return finishLeaf(leaf, scope, into, undefined, undefined);
  return inSpan(spanNames.step(node.id), attributesOf(leaf), async (span) => {
    const reads = new Set<string>();
    try {
      await finishLeaf(leaf, scope, into, reads, span);
    } finally {
      span.setAttribute(ATTR_NODE_READS, JSON.stringify([...reads]));
    }
  });
}

async function finishLeaf(
  leaf: Leaf,
  scope: RunScope,
  into: RunScope,
  reads: Set<string> | undefined,
  span: Span | undefined,
): Promise<void> {
  const { drive, node, code, path, policies } = leaf;
  const began = performance.now();
  const tally = { attempts: 0 };
  let output: unknown;
  try {
    let input: unknown;
    if (node.op === "step") input = readInput(code, scope, reads);
    else input = reads ? trackReads(scope.view(), reads) : scope.view();
    output = policies.none
      ? await runAttempts(leaf, input, tally, drive.signal, scope)
      : await runUnder(leaf, input, tally, scope, span);
    into.check(node.id, node.as, output);
  } catch (error) {
    if (drive.stopped && (error === drive.stopped || drive.signal.aborted)) throw drive.stopped;
    if (error instanceof Abandoned) throw error;
    return nodeFailed(drive, path, tally.attempts, error);
  }
  span?.setAttribute(ATTR_NODE_WRITES, JSON.stringify(addedKeys(node.as, output)));
  const data = { ms: Math.round(performance.now() - began), attempts: tally.attempts };
  const written = drive.append({ type: "step.finished", node: path, data, output });
  // Its own number: others may have been given out while it was written.
  const seq = typeof written === "number" ? written : await written;
  into.add(node.id, node.as, output);
  noteCompensable(drive, node, path, seq, scope);
}

/** Auth, cache and rate limit around the attempts. What the cache calls may outlive this run. */
async function runUnder(
  leaf: Leaf,
  input: unknown,
  tally: { attempts: number },
  scope: RunScope,
  span: Span | undefined,
): Promise<unknown> {
  const { drive, policies, place } = leaf;
  const asked = { input, principal: drive.run.principal ?? undefined, signal: drive.signal };
  await policies.authorize(asked);
  const { output, result } = await policies.cached(asked, async (signal) => {
    const waitMs = await policies.reserve({ ...asked, signal });
    if (waitMs > 0) await (policies.hasCache ? sleep(waitMs, undefined, { signal }) : drive.sleep(waitMs, place.group));
    return runAttempts(leaf, input, tally, signal, scope);
  });
  if (result) span?.setAttribute(ATTR_CACHE_RESULT, result);
  return output;
}

async function runAttempts(
  leaf: Leaf,
  input: unknown,
  tally: { attempts: number },
  signal: AbortSignal,
  scope: RunScope,
): Promise<unknown> {
  const { drive, code, path, place, policies } = leaf;
  const retries = policies.none ? undefined : policies.retries();
  for (let number = leaf.failedAttempts + 1; ; number++) {
    tally.attempts = number;
    let began: NodeJS.Timeout | undefined;
    if (code.procedure?.idempotent === false) await note(leaf, { type: "step.started", node: path });
    else began = setTimeout(sayBegan, slowMs, leaf);
    // A cached step may outlive its run, and is no effect of it alone.
    const held = policies.hasCache ? undefined : drive.held();
    if (held) await held;
    const span = drive.traced ? startAttempt(leaf, number, input, scope) : undefined;
    let waitMs: number;
    try {
      return await (span
        ? withSpan(span, () => attempt(leaf, number, input, signal))
        : attempt(leaf, number, input, signal));
    } catch (error) {
      if (drive.stopped && drive.signal.aborted) throw drive.stopped;
      const next = retries?.after(error, number, signal);
      const again = next?.again ?? false;
      if (span) failAttempt(span, error, again, next?.exhausted ?? shouldRetry(undefined, error), next?.waitMs);
      await note(leaf, {
        type: "attempt.failed",
        node: path,
        data: { attempt: number, error: shapeOf(error), nextInMs: again ? Math.round(next!.waitMs) : null },
      });
      if (!again) throw error;
      waitMs = next!.waitMs;
    } finally {
      span?.end();
      clearTimeout(began);
    }
    await (policies.hasCache ? sleep(waitMs, undefined, { signal }) : drive.sleep(waitMs, place.group));
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

interface Kept {
  readonly code: NodeCode;
  readonly policies: EffectivePolicies;
}
const kept = new WeakMap<LeafIr, Kept>();

function policiesOf(drive: Drive, node: LeafIr, around: ParallelIr | undefined, code: NodeCode): EffectivePolicies {
  const known = kept.get(node);
  if (known?.code === code) return known.policies;
  const policies = effectivePolicies(code.procedure, { workflow: drive.run.workflow, node, around, code });
  kept.set(node, { code, policies });
  return policies;
}

function noteCompensable(drive: Drive, node: LeafIr, path: string, seq: number, scope: RunScope): void {
  if (node.op === "step" && node.compensate) drive.compensables.push({ seq, path, id: node.id, scope });
}

/** Fails the node, whose error names workflow, node, attempts and cause. */
export function nodeFailed(drive: Drive, path: string, attempts: number, error: unknown): Promise<never> {
  const times = attempts === 0 ? "before its first attempt" : `after ${attempts} attempt${attempts === 1 ? "" : "s"}`;
  const message = error instanceof Error ? error.message : String(error);
  const own = TsdevError.is(error) ? error : undefined;
  return drive.failNode(
    path,
    new TsdevError("step_failed", {
      message: `workflow "${drive.run.workflow}": step "${path}" failed ${times}: ${message}`,
      fix:
        own?.fix ??
        `look at the trace of run ${drive.run.id}; if the step is safe to repeat, .withRetry tries it again`,
      ...(own?.path === undefined ? {} : { path: own.path }),
      cause: error,
    }),
  );
}

function interrupted(drive: Drive, path: string): TsdevError {
  return new TsdevError("interrupted", {
    message: `workflow "${drive.run.workflow}": the worker died during step "${path}", which is not idempotent; whether it took effect is not known`,
    fix: `find out whether it did, then retry run ${drive.run.id}`,
  });
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

function attributesOf({ drive, node, code, around }: Leaf): Attributes {
  return {
    [ATTR_WORKFLOW_NAME]: drive.run.workflow,
    [ATTR_WORKFLOW_RUN_ID]: drive.run.id,
    [ATTR_NODE_ID]: node.id,
    [ATTR_NODE_OP]: node.op,
    ...(node.op === "step" ? { [ATTR_NODE_PROCEDURE]: node.procedure } : {}),
    ...(around === undefined ? {} : { [ATTR_NODE_PARALLEL]: around.id }),
    ...(code.source ? { [ATTR_CODE_FILE_PATH]: code.source.file, [ATTR_CODE_LINE_NUMBER]: code.source.line } : {}),
  };
}
