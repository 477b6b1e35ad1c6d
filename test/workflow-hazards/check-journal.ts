// Checks a run's journal by itself: its numbers, its leases, its end, and that nothing in it finishes twice.
import type { Forgetting } from "./forgetting.ts";
import { ends, isInterruption, type Run, type Say } from "./recorded-run.ts";

const finishes = new Set(["step.finished", "step.failed", "step.compensated", "event.received", "approval.answered"]);

export function checkJournal({ journal, state }: Run, forgettings: readonly Forgetting[], say: Say): undefined {
  for (const [index, { seq }] of journal.entries()) {
    if (seq !== index + 1) return say(`row ${index + 1} of the journal has the number ${seq}`);
  }
  for (const [index, { epoch, seq }] of journal.entries()) {
    if (index > 0 && epoch < journal[index - 1]!.epoch)
      return say(`row ${seq} is of an earlier lease than the row before it`);
  }
  if (!["run.queued", "run.started"].includes(journal[0]?.type ?? "")) say("its first row is no beginning");
  const last = journal.at(-1)?.type;
  if (last !== `run.${state}`) say(`it is ${state} and its last row is ${last}`);
  let ended = false;
  for (const row of journal) {
    if (ended && row.type !== "run.retried") return say(`row ${row.seq} comes after its end`);
    ended = ends.has(row.type) && !(isInterruption(row) && state === "canceled");
  }
  // What is in the journal as finished is not finished a second time, unless a person asked for it.
  const finished = new Map<string, Set<string>>();
  for (const { type, node, seq } of journal) {
    if (type === "run.retried") {
      const { forgets } = forgettings.find((one) => one.seq === seq)!;
      for (const path of finished.keys()) if (forgets(path)) finished.delete(path);
    }
    if (!finishes.has(type)) continue;
    const types = finished.get(node!) ?? new Set();
    if (types.has(type)) say(`row ${seq} says ${type} of ${node} a second time`);
    finished.set(node!, types.add(type));
  }
}
