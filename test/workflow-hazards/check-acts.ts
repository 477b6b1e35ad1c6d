// Checks what a run made of what was asked for from outside: events, answers, time limits, delays, followers.
import { isDeepStrictEqual } from "node:util";
import { idOf, type Run, type Say, toleranceMs } from "./recorded-run.ts";
import { nodesOf, type WorkflowSpec } from "./specification.ts";

/** What was asked for from outside, and what came of it. */
export interface Acts {
  /** By the run's input id. */
  readonly started: ReadonlySet<string>;
  readonly delays: ReadonlyMap<string, number>;
  readonly approvals: readonly { runId: string; node: string; by: string; given: "yes" | "no" | "unknown" }[];
  /** When `publish` returned, by the event's id; milliseconds. */
  readonly published: ReadonlyMap<string, number>;
  /** What followers of runs saw. */
  readonly followed: ReadonlyMap<string, readonly number[]>;
}

export function checkActs(run: Run, spec: WorkflowSpec, acts: Acts, say: Say): undefined {
  const { journal } = run;
  const steps = new Map(nodesOf(spec.nodes).flatMap((node) => (node.op === "step" ? [[node.id, node] as const] : [])));
  const retried = journal.some(({ type }) => type === "run.retried");
  for (const { type, node, data, at, seq, epoch } of journal) {
    if (type === "step.failed" && data.error.code === "interrupted") {
      if (steps.get(idOf(node!))?.idempotent !== false) say(`${node} may run again and failed with interrupted`);
      const begun = journal.findLast((row) => row.seq < seq && row.node === node && row.type === "step.started");
      const since = begun && journal.some((row) => row.type === "run.retried" && begun.seq < row.seq && row.seq < seq);
      if (!begun || begun.epoch >= epoch || since) say(`${node} failed with interrupted and nobody had begun it`);
    }
    const timedOut =
      (type === "decided" && data.taken === "timeout") || (type === "step.failed" && data.error.code === "timeout");
    if (timedOut) {
      const timer = journal.findLast((row) => row.seq < seq && row.node === node && row.type === "timer.set");
      if (!timer || Date.parse(timer.data.wakeAt) > at + toleranceMs) say(`${node} timed out before its time`);
      const published = acts.published.get(`${run.input.id}:${node}`);
      if (published !== undefined && published < at - toleranceMs)
        say(`${node} timed out ${Math.round(at - published)} ms after its event was published`);
    }
    if (type === "event.received" && data.id !== `${run.input.id}:${node}`)
      say(`${node} got the event ${data.id} of another`);
  }
  const begun = journal.find(({ type }) => type === "run.started");
  const delay = acts.delays.get(run.input.id);
  if (delay !== undefined && run.parent === null && begun && begun.at < journal[0]!.at + delay - toleranceMs) {
    say(`it began ${Math.round(begun.at - journal[0]!.at)} ms after it was started with a delay of ${delay}`);
  }
  if (!retried) {
    for (const [node, given] of Map.groupBy(
      acts.approvals.filter(({ runId }) => runId === run.id),
      (one) => one.node,
    )) {
      const yes = new Set(given.filter((one) => one.given === "yes").map(({ by }) => by));
      if (yes.size > 1) say(`${node} took the answers of ${[...yes].join(" and ")}`);
      const answered = journal.find((row) => row.node === node && row.type === "approval.answered");
      const possible = given.filter((one) => one.given !== "no").map(({ by }) => by);
      if (!answered) continue;
      if (yes.size === 1 && answered.data.by !== [...yes][0])
        say(`${node} took the answer of ${[...yes][0]} and journaled that of ${answered.data.by}`);
      if (answered.data.by !== "timeout" && !possible.includes(answered.data.by))
        say(`${node} journaled the answer of ${answered.data.by}, which was refused`);
    }
  }
  const followed = acts.followed.get(run.id);
  if (
    followed &&
    !isDeepStrictEqual(
      followed,
      journal.map(({ seq }) => seq),
    )
  ) {
    say(`a follower saw ${followed.join(" ")}`);
  }
}
