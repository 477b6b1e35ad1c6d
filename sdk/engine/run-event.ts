// Run event: one thing that happened in the life of a run. Names and numbers only, never payloads.
import type { ErrorShape } from "../errors.ts";
import type { RunOrigin, Wait } from "./engine.ts";

interface Base {
  readonly runId: string;
  /** Counted from 1 within the run, without a gap; what `Last-Event-ID` carries. */
  readonly seq: number;
  readonly at: Date;
}

/** `node` is a path such as `texts[3]/ocr`. */
export type RunEvent = Base &
  (
    | { readonly type: "run.queued"; readonly workflow: string; readonly version: string; readonly origin: RunOrigin }
    | { readonly type: "run.started"; readonly workflow: string; readonly version: string; readonly origin: RunOrigin }
    /** Another worker carries the run on. */
    /** `died`: its worker was lost; otherwise what it waited for came, or somebody resumed it. */
    | { readonly type: "run.resumed"; readonly died?: true }
    | { readonly type: "run.waiting"; readonly waits: readonly Wait[] }
    | { readonly type: "run.paused" }
    | { readonly type: "run.retried"; readonly from: string | null }
    | { readonly type: "run.done" }
    | { readonly type: "run.failed"; readonly error: ErrorShape }
    | { readonly type: "run.canceled"; readonly reason: string }
    /** Only of a step that takes longer than 250 ms, or that must not run twice. */
    | { readonly type: "step.started"; readonly node: string }
    | { readonly type: "step.finished"; readonly node: string; readonly ms: number; readonly attempts: number }
    | {
        readonly type: "attempt.failed";
        readonly node: string;
        readonly attempt: number;
        readonly error: ErrorShape;
        /** Null when it was the last. */
        readonly nextInMs: number | null;
        /** When the next attempt is due, whoever makes it; null when this was the last. */
        readonly nextAt: Date | null;
      }
    | { readonly type: "step.failed"; readonly node: string; readonly error: ErrorShape }
    | { readonly type: "step.compensated"; readonly node: string }
    | { readonly type: "compensation.failed"; readonly node: string; readonly error: ErrorShape }
    | { readonly type: "decided"; readonly node: string; readonly taken: string }
    | { readonly type: "timer.set"; readonly node: string; readonly wakeAt: Date }
    | { readonly type: "event.received"; readonly node: string; readonly event: string; readonly id: string }
    | { readonly type: "approval.answered"; readonly node: string; readonly approved: boolean; readonly by: string }
    | { readonly type: "child.started"; readonly node: string; readonly childRunId: string }
  );

/** A row of the journal as an event. `data` is the event's own fields as they came from JSON. */
export function eventOf(row: {
  runId: string;
  seq: number;
  at: Date;
  type: RunEvent["type"];
  node: string | null;
  data: Readonly<Record<string, unknown>>;
}): RunEvent {
  const { runId, seq, at, type, node, data } = row;
  const event: Record<string, unknown> = { runId, seq, at, type, ...(node === null ? {} : { node }), ...data };
  if (type === "timer.set") event.wakeAt = new Date(data.wakeAt as string);
  if (type === "attempt.failed") event.nextAt = data.nextAt ? new Date(data.nextAt as string) : null;
  if (type === "run.waiting") event.waits = (data.waits as Wait[]).map(reviveWait);
  return event as unknown as RunEvent;
}

/** Times come from JSON as text. */
export function reviveWait(wait: Wait): Wait {
  if (wait.kind === "timer") return { ...wait, wakeAt: new Date(wait.wakeAt) };
  if (wait.kind !== "run" && wait.until !== undefined) return { ...wait, until: new Date(wait.until) };
  return wait;
}
