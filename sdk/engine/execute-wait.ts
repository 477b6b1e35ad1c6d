// Executes the nodes that wait: timers, events, approvals, child runs. A wait is stored before its node is looked at for
// the first time, so that whoever does something after that look finds it, and it ends in one transaction with its row.
import { TsdevError } from "../errors.ts";
import type { ApproveIr, CallIr, NodeIr, SleepIr, WaitForIr } from "../ir/ir.ts";
import { checkContract } from "../procedures/contract.ts";
import {
  ATTR_NODE_ID,
  ATTR_NODE_OP,
  ATTR_WORKFLOW_NAME,
  ATTR_WORKFLOW_RUN_ID,
  spanNames,
} from "../semantic-conventions.ts";
import { inSpan } from "../spans.ts";
import type { Approval } from "../workflows/definition.ts";
import type { Drive } from "./drive.ts";
import { endStates } from "./engine.ts";
import type { Place } from "./execute-body.ts";
import { nodeFailed } from "./execute-leaf.ts";
import type { Past } from "./history.ts";
import { type RunScope, readInput } from "./run-scope.ts";
import type { OpenWait, StoredRun } from "./run-store.ts";
import { failureOf, RunFailure } from "./stops.ts";

type MaybePromise = Promise<void> | undefined;

function pastOf(drive: Drive, path: string): Past | undefined {
  const past = drive.history?.of(path);
  if (past?.failed) throw failureOf(past.failed);
  return past;
}

/** A span for as long as this worker is at the node; a wait that outlives it has none. */
function traced(drive: Drive, node: NodeIr, fn: () => Promise<void>): Promise<void> {
  if (!drive.traced) return fn();
  const attributes = {
    [ATTR_WORKFLOW_NAME]: drive.run.workflow,
    [ATTR_WORKFLOW_RUN_ID]: drive.run.id,
    [ATTR_NODE_ID]: node.id,
    [ATTR_NODE_OP]: node.op,
  };
  return inSpan(spanNames.step(node.id), attributes, fn);
}

/** When a time limit that began with the node is over: set once, whoever waits. */
async function untilOf(drive: Drive, path: string, past: Past | undefined, ms: number): Promise<Date> {
  if (past?.wakeAt) return past.wakeAt;
  const wakeAt = new Date(drive.store.now().getTime() + ms);
  await drive.append({ type: "timer.set", node: path, data: { wakeAt } });
  return wakeAt;
}

export function executeSleep(drive: Drive, node: SleepIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  const past = pastOf(drive, path);
  if (past?.wakeAt && past.wakeAt <= drive.store.now()) return;
  return traced(drive, node, async () => {
    drive.checkStopped(place.group);
    let wakeAt: Date;
    if (past?.wakeAt || !node.mapped) wakeAt = await untilOf(drive, path, past, node.ms ?? 0);
    else {
      try {
        wakeAt = dateOf(drive.code.get(node.id)!.decide!(scope.view()));
      } catch (error) {
        return nodeFailed(drive, path, 0, error);
      }
      await drive.append({ type: "timer.set", node: path, data: { wakeAt } });
    }
    await drive.waitForTimer(path, wakeAt, place.group);
  });
}

function dateOf(value: unknown): Date {
  if (value instanceof Date && Number.isFinite(value.getTime())) return value;
  throw new TsdevError("invalid_output", { message: "`until` gave no date", fix: "return a Date from it" });
}

/** The pause between two rounds, told by the path of the first of them. */
export async function pause(drive: Drive, path: string, ms: number, place: Place): Promise<void> {
  const wakeAt = await untilOf(drive, path, drive.history?.of(path), ms);
  await drive.waitForTimer(path, wakeAt, place.group);
}

/** True when the pause is over. */
export function pauseIsOver(drive: Drive, path: string): boolean {
  const wakeAt = drive.history?.of(path)?.wakeAt;
  return wakeAt !== undefined && wakeAt <= drive.store.now();
}

export function executeWaitFor(drive: Drive, node: WaitForIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  const past = pastOf(drive, path);
  if (past?.output) return void scope.addStored(node.id, past.output);
  if (past?.taken === "timeout") return void scope.add(node.id, node.id, undefined);
  return traced(drive, node, async () => {
    drive.checkStopped(place.group);
    const code = drive.code.get(node.id)!;
    let key: string | undefined;
    try {
      key = node.keyed ? String(code.decide!(scope.view())) : undefined;
    } catch (error) {
      return nodeFailed(drive, path, 0, error);
    }
    const until = node.timeoutMs === undefined ? undefined : await untilOf(drive, path, past, node.timeoutMs);
    const wait: OpenWait = {
      kind: "event",
      node: path,
      event: node.event,
      ...(key === undefined ? {} : { key }),
      ...(until === undefined ? {} : { until }),
    };
    await drive.openWait(wait);
    const next = async () => {
      for (;;) {
        const event = await drive.store.findEvent(
          { name: node.event, key: key ?? null },
          drive.run.eventFloor,
          drive.received,
        );
        // Another branch of the run may have taken it while it was looked for.
        if (!event || !drive.received.includes(event.id)) return event;
      }
    };
    for (;;) {
      const waited = await drive.waitUntil(wait, until, place.group, next);
      if (waited.value !== undefined) {
        const { id, payload } = waited.value;
        if (drive.received.includes(id)) continue;
        drive.received.push(id);
        let output: unknown;
        try {
          output = await checkContract(code.event!.payload, payload, `the event "${node.event}"`);
        } catch (error) {
          return nodeFailed(drive, path, 0, error);
        }
        await drive.endWait({ type: "event.received", node: path, data: { event: node.event, id }, output });
        return scope.add(node.id, node.id, output);
      }
      if (node.onTimeout === "continue") {
        const row = { type: "decided", node: path, data: { taken: "timeout" } } as const;
        if (await drive.endWait(row, waited.signals)) return scope.add(node.id, node.id, undefined);
      } else await failByTimeout(drive, path, `no event "${node.event}" came`, node.timeoutMs!, waited.signals);
    }
  });
}

export function executeApprove(drive: Drive, node: ApproveIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  const past = pastOf(drive, path);
  const known = past?.output?.read() as Approval | undefined;
  if (known && (known.approved || node.onReject === "continue")) return void scope.add(node.id, node.id, known);
  return traced(drive, node, async () => {
    drive.checkStopped(place.group);
    if (known) return drive.failNode(path, rejected(drive, path, known));
    const until = node.timeoutMs === undefined ? undefined : await untilOf(drive, path, past, node.timeoutMs);
    const wait: OpenWait = { kind: "approval", node: path, ...(until === undefined ? {} : { until }) };
    await drive.openWait(wait);
    for (;;) {
      const waited = await drive.waitUntil(wait, until, place.group, () => drive.store.answer(drive.run.id, path));
      let output: Approval;
      if (waited.value !== undefined) output = waited.value;
      else if (node.onTimeout === "reject") output = { approved: false, by: "timeout", at: until! };
      else {
        await failByTimeout(drive, path, "nobody answered", node.timeoutMs!, waited.signals);
        continue;
      }
      const data = { approved: output.approved, by: output.by };
      const row = { type: "approval.answered", node: path, data, output } as const;
      if (!(await drive.endWait(row, waited.value === undefined ? waited.signals : undefined))) continue;
      if (output.approved || node.onReject === "continue") return scope.add(node.id, node.id, output);
      return drive.failNode(path, rejected(drive, path, output));
    }
  });
}

function rejected(drive: Drive, path: string, { by, comment }: Approval): TsdevError {
  return new TsdevError("rejected", {
    message: `workflow "${drive.run.workflow}": "${path}" was rejected by ${by}${comment === undefined ? "" : `: ${comment}`}`,
    fix: `to ask again, retry run ${drive.run.id} from "${path}"`,
  });
}

/** Returns when something was done meanwhile and the node has to be looked at again. */
async function failByTimeout(drive: Drive, path: string, what: string, ms: number, signals: number): Promise<void> {
  const error = new TsdevError("timeout", {
    message: `workflow "${drive.run.workflow}": "${path}" waited for ${ms} ms and ${what}`,
    fix: `raise timeoutMs, say with onTimeout how the run goes on, or retry run ${drive.run.id}`,
  });
  const row = { type: "step.failed", node: path, data: { error: error.toJSON() } } as const;
  if (await drive.endWait(row, signals)) throw new RunFailure(error);
}

export function executeCall(drive: Drive, node: CallIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  const as = node.as ?? node.workflow;
  const past = pastOf(drive, path);
  if (past?.output) return void scope.addStored(as, past.output);
  return traced(drive, node, async () => {
    drive.checkStopped(place.group);
    const code = drive.code.get(node.id)!;
    const began = performance.now();
    const earlier = drive.history?.children(path) ?? 0;
    const next = `${drive.run.id}/${path}${earlier === 0 ? "" : `~${earlier}`}`;
    let runId = past?.child ?? next;
    let input: unknown;
    try {
      input = readInput({ with: code.with, procedure: code.workflow }, scope);
      scope.check(node.id, as, undefined);
    } catch (error) {
      return nodeFailed(drive, path, 0, error);
    }
    // In the journal before it is begun: a cancel finds it, and beginning it again is beginning it once.
    if (!past?.child) await drive.append({ type: "child.started", node: path, data: { childRunId: runId } });
    const ended = async (): Promise<StoredRun> => {
      drive.children.add(runId);
      try {
        await drive.beginChild({ runId, node: path, code, input });
      } catch (error) {
        if (!TsdevError.is(error) || error.code === "unavailable") throw error;
        return nodeFailed(drive, path, 0, error);
      }
      const wait: OpenWait = { kind: "run", node: path, runId };
      await drive.openWait(wait);
      const waited = await drive.waitUntil<StoredRun>(wait, undefined, place.group, async () => {
        const child = await drive.store.find(runId);
        return child && endStates.has(child.state) ? child : undefined;
      });
      drive.children.delete(runId);
      return waited.value!;
    };
    let child = await ended();
    if (child.state !== "done" && past?.isChildRetried) {
      // It was canceled with the run that is retried now. One that was done by then is not run again.
      runId = next;
      await drive.endWait({ type: "child.started", node: path, data: { childRunId: runId } });
      child = await ended();
    }
    if (child.state === "done") {
      const data = { ms: Math.round(performance.now() - began), attempts: 1 };
      const output = child.output;
      await drive.endWait({ type: "step.finished", node: path, data, output });
      return scope.add(node.id, as, output);
    }
    const shape = child.error ?? {
      code: "run_failed" as const,
      message: `run "${runId}" was canceled`,
      fix: "start it again",
    };
    return nodeFailed(drive, path, 1, new TsdevError(shape.code, shape));
  });
}
