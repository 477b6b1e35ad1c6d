// Acts: what is done to a run from outside, decided while its row is locked. Where nobody has the lease the act is done at
// once; else it is left for the holder, who is told.
import { type ErrorShape, TsdevError } from "../errors.ts";
import { nodesOf } from "../ir/ir.ts";
import { endStates } from "./engine.ts";
import type { Act, ActView, Answer } from "./run-store.ts";

interface Decision<T> {
  act?: Act;
  result: T;
}

export function canceledShape(workflow: string, runId: string, reason: string): ErrorShape {
  return {
    code: "canceled",
    message: `run "${runId}" of workflow "${workflow}" was canceled: ${reason}`,
    fix: "start it again with another runId",
  };
}

/** `ended`: it was canceled at once. `left`: a worker ends it. `over`: it had ended. */
export function cancelRun(reason: string): (view: ActView) => Decision<"ended" | "left" | "over"> {
  return ({ run, held, seq }) => {
    const request = { kind: "cancel", reason } as const;
    // What an interrupted run had finished is not undone until somebody says so.
    if (run.state === "failed" && run.error?.code === "interrupted") {
      return { act: { request, state: "queued", due: true }, result: "left" };
    }
    if (endStates.has(run.state)) return { result: "over" };
    if (held) return { act: { request }, result: "left" };
    // Undoing steps and ending children takes a worker, unless nothing has begun.
    const begun = seq > 1;
    const needsWorker = begun && nodesOf(run.ir).some((node) => node.op === "call" || "compensate" in node);
    if (needsWorker) {
      return { act: { request, due: true, ...(run.state === "paused" ? { state: "queued" } : {}) }, result: "left" };
    }
    const rows = [{ type: "run.canceled", node: null, data: { reason } } as const];
    const error = canceledShape(run.workflow, run.id, reason);
    return { act: { rows, state: "canceled", request: null, error }, result: "ended" };
  };
}

export function pauseRun({ run, held }: ActView): Decision<void> {
  if (endStates.has(run.state)) throw hasEnded(run.id, run.state, "paused");
  if (run.state === "paused" || run.request !== null) return { result: undefined };
  if (held) return { act: { request: { kind: "pause", reason: "" } }, result: undefined };
  return { act: { rows: [{ type: "run.paused", node: null }], state: "paused" }, result: undefined };
}

export function resumeRun({ run }: ActView): Decision<void> {
  if (run.state === "paused") return { act: { state: "queued", due: true, request: null }, result: undefined };
  // It was asked to pause and has not done so yet.
  if (run.request?.kind === "pause") return { act: { request: null }, result: undefined };
  throw new TsdevError("conflict", {
    message: `run "${run.id}" is ${run.state} and not paused`,
    fix: endStates.has(run.state) ? "retry it, or start another" : "nothing: it goes on by itself",
  });
}

export function retryRun(from: string | null): (view: ActView) => Decision<void> {
  return ({ run }) => {
    if (run.state !== "failed" && run.state !== "canceled") {
      throw new TsdevError("conflict", {
        message: `run "${run.id}" is ${run.state}; only a failed or canceled run can be retried`,
        fix:
          run.state === "done" ? "use rerun for a new run with the same input" : "wait for its end, or cancel it first",
      });
    }
    const rows = [{ type: "run.retried", node: null, data: { from } } as const];
    return { act: { rows, state: "queued", due: true, request: null }, result: undefined };
  };
}

/** `closed`: the node does not wait; whether it was answered the same is in the run's history. */
export function answerRun(
  node: string,
  answer: Omit<Answer, "at">,
): (view: ActView) => Decision<"answered" | "closed"> {
  return ({ openWaits, answers }) => {
    const given = answers.get(node);
    if (given) {
      if (!isSameAnswer(given, answer)) throw answeredOtherwise(node, given);
      return { result: "answered" };
    }
    if (!openWaits.some((wait) => wait.kind === "approval" && wait.node === node)) return { result: "closed" };
    return { act: { answer: { node, answer }, due: true }, result: "answered" };
  };
}

export function isSameAnswer(a: Omit<Answer, "at">, b: Omit<Answer, "at">): boolean {
  return a.approved === b.approved && a.by === b.by;
}

export function answeredOtherwise(node: string, { approved, by }: Omit<Answer, "at">): TsdevError {
  return new TsdevError("conflict", {
    message: `"${node}" was ${approved ? "approved" : "rejected"} by ${by} already`,
    fix: "the first answer stands",
  });
}

function hasEnded(runId: string, state: string, what: string): TsdevError {
  return new TsdevError("conflict", {
    message: `run "${runId}" has ended (${state}) and cannot be ${what}`,
    fix: "retry it, or start another",
  });
}
