// Checks what holds of several runs together: the times of the cron, and how many runs of one key run at once.
import { ends, type Run } from "./recorded-run.ts";
import type { WorkflowSpec } from "./specification.ts";

/** Every time of the cron between the first and the last is one run, and none began early. */
export function checkTicks(runs: readonly Run[], told: (run: Run, what: string) => void): undefined {
  const ticks = runs
    .filter(({ id }) => id.startsWith("cron:tick:"))
    .toSorted((a, b) => (a.input.id < b.input.id ? -1 : 1));
  const timeOf = (run: Run) => Date.parse(run.input.id.replace("tick-", ""));
  for (const [index, run] of ticks.entries()) {
    const time = timeOf(run);
    if (run.journal[0]!.at < time) told(run, "it was begun before its time");
    const before = ticks[index - 1];
    if (before && time - timeOf(before) !== 2_000) told(run, `the time before it is ${time - timeOf(before)} ms away`);
  }
}

/** A run has its slot from its first row as a running one to its end. */
export function checkSlots(
  runs: readonly Run[],
  specs: ReadonlyMap<string, WorkflowSpec>,
  told: (run: Run, what: string) => void,
): undefined {
  for (const those of Map.groupBy(
    runs.filter(({ slotKey }) => slotKey !== null),
    ({ slotKey }) => slotKey,
  ).values()) {
    const limit = specs.get(those[0]!.workflow)!.limit!;
    const changes = those.flatMap((run) => {
      const found: { at: number; by: 1 | -1; run: Run }[] = [];
      let holds = false;
      for (const { type, at } of run.journal) {
        if (!holds && (type === "run.started" || type === "run.resumed")) found.push({ at, by: 1, run });
        if (holds && ends.has(type)) found.push({ at, by: -1, run });
        if (type === "run.started" || type === "run.resumed") holds = true;
        if (ends.has(type)) holds = false;
      }
      return found;
    });
    let running = 0;
    for (const { by, run } of changes.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
      running += by;
      if (running > limit) {
        told(run, `${running} runs of the key ${run.slotKey} ran at once, and ${limit} may`);
        break;
      }
    }
  }
}
