// Executes one step or run node: what the history has of it, else its attempts, and the row of its output, under a span.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Attributes, Span } from "@opentelemetry/api";
import { TsdevError } from "../errors.ts";
import type { LeafIr, ParallelIr } from "../ir/ir.ts";
import { type EffectivePolicies, effectivePolicies } from "../policies/effective-policies.ts";
import {
  ATTR_CACHE_RESULT,
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_LINE_NUMBER,
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
import { inSpan } from "../spans.ts";
import type { NodeCode } from "../workflows/definition.ts";
import type { Drive } from "./drive.ts";
import { type Leaf, runAttempts } from "./execute-attempts.ts";
import type { Place } from "./execute-body.ts";
import type { Past } from "./history.ts";
import { addedKeys, type RunScope, readInput, trackReads } from "./run-scope.ts";
import { Abandoned, failureOf } from "./stops.ts";
import { checkStorable } from "./storable.ts";

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
  // Its worker died between the last attempt's row and the node's. An output of the cache may still be served.
  if (past?.lastError && !policies.hasCache) {
    await nodeFailed(drive, path, failedAttempts, new TsdevError(past.lastError.code, past.lastError));
  }
  if (past?.nextAt) await drive.waitForTimer(path, past.nextAt, place.group);
  const leaf: Leaf = { drive, node, around, code, path, place, policies, failedAttempts };
  if (!drive.traced) return finishLeaf(leaf, scope, into, undefined, undefined);
  return inSpan(spanNames.step(node.id), attributesOf(leaf), async (span) => {
    const reads = new Set<string>();
    const noteReads = () => span.setAttribute(ATTR_NODE_READS, JSON.stringify([...reads]));
    // One that has finished meanwhile does not record any more.
    const putDown = () => {
      if (!span.isRecording()) return;
      noteReads();
      span.end();
    };
    try {
      await finishLeaf({ ...leaf, putDown }, scope, into, reads, span);
    } finally {
      noteReads();
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
    checkStorable(output, "it returned");
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
    // Once for all attempts.
    const waitMs = leaf.failedAttempts > 0 ? 0 : await policies.reserve({ ...asked, signal });
    if (waitMs > 0) await (policies.hasCache ? sleep(waitMs, undefined, { signal }) : drive.sleep(waitMs, place.group));
    return runAttempts(leaf, input, tally, signal, scope);
  });
  if (result) span?.setAttribute(ATTR_CACHE_RESULT, result);
  return output;
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
    fix: `find out whether it did: retry run ${drive.run.id} to do it, or cancel it to undo what came before`,
  });
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
