// Checks that a run which failed or was canceled undid its finished steps, the last one first, and no other run did.
import type { Forgetting } from "./forgetting.ts";
import { deathsInARow, idOf, type Run, type Say, toleranceMs } from "./recorded-run.ts";
import { nodesOf, type StepSpec, type WorkflowSpec } from "./specification.ts";

export function checkCompensation(
  run: Run,
  spec: WorkflowSpec,
  forgettings: readonly Forgetting[],
  say: Say,
): undefined {
  const undoable = new Map(
    nodesOf(spec.nodes).flatMap((node) =>
      node.op === "step" && node.compensate ? [[node.id, node] as [string, StepSpec]] : [],
    ),
  );
  const undone = run.effects.filter(({ kind }) => kind === "undo");
  if (run.state === "done" && undone.length > 0) return say(`it is done and ${undone[0]!.path} was undone`);
  const compensated = run.journal.filter(({ type }) => type === "step.compensated" || type === "compensation.failed");
  const finished = new Map<string, { seq: number; at: number }>();
  for (const { type, node, seq, at } of run.journal) {
    if (type === "step.finished") finished.set(node!, { seq, at });
    if (type !== "run.retried") continue;
    const { forgets } = forgettings.find((one) => one.seq === seq)!;
    for (const path of finished.keys()) if (forgets(path)) finished.delete(path);
  }
  for (const { path, enteredAt } of undone) {
    const done = finished.get(path);
    if (!done || enteredAt < done.at - toleranceMs) say(`${path} was undone before it had finished`);
  }
  let last = Number.POSITIVE_INFINITY;
  for (const { node, type, seq } of compensated) {
    const done = finished.get(node!);
    if (!done) say(`row ${seq} undoes ${node}, which had not finished`);
    else if (done.seq > last) say(`row ${seq} undoes ${node} after what finished before it`);
    else last = done.seq;
    if (type === "step.compensated" && !undone.some(({ path }) => path === node))
      say(`row ${seq} says that ${node} is undone, and nothing was`);
  }
  if (run.state !== "failed" && run.state !== "canceled") return;
  if (run.error?.code === "run_failed" && deathsInARow(run) > 10) return;
  // Until a person has found out whether the step took effect, and cancels the run.
  if (run.error?.code === "interrupted") {
    if (compensated.length > 0) say("it was interrupted and undone before anybody could look");
    return;
  }
  for (const path of finished.keys()) {
    if (undoable.has(idOf(path)) && !compensated.some(({ node }) => node === path))
      say(`it is ${run.state} and ${path} was not undone`);
  }
}
