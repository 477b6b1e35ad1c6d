// Checks the attempts of a run's steps: counted on whoever makes them, none before its time, none after the last.
import { type Row, type Run, type Say, toleranceMs } from "./recorded-run.ts";

/** True when the run waited for the next attempt of a step. */
export function isPutDown({ journal }: Run): boolean {
  const failed = new Set(journal.flatMap(({ type, node }) => (type === "attempt.failed" ? [node] : [])));
  return journal.some(
    ({ type, data }) => type === "run.waiting" && data.waits.some((wait: { node: string }) => failed.has(wait.node)),
  );
}

export function checkAttempts({ journal, effects }: Run, say: Say): undefined {
  const failed = Map.groupBy(
    journal.filter(({ type }) => type === "attempt.failed"),
    ({ node }) => node!,
  );
  const retried = journal.filter(({ type }) => type === "run.retried");
  for (const [path, rows] of failed) {
    let before: Row | undefined;
    for (const row of rows) {
      // A retry of the run may have the step begin anew.
      const anew = retried.some(({ seq }) => seq > (before?.seq ?? 0) && seq < row.seq);
      const number = (before?.data.attempt ?? 0) + 1;
      if (row.data.attempt !== number && !(anew && row.data.attempt === 1))
        say(`row ${row.seq} says that attempt ${row.data.attempt} of ${path} failed, which was its attempt ${number}`);
      if (before?.data.nextInMs === null && !anew) say(`row ${row.seq} is of an attempt after the last one of ${path}`);
      before = row;
    }
  }
  for (const { kind, path, attempt, enteredAt } of effects) {
    if (kind === "undo" || attempt === 1) continue;
    const earlier = failed.get(path)?.filter(({ data }) => data.attempt === attempt - 1) ?? [];
    if (!earlier.some(({ data }) => Date.parse(data.nextAt) <= enteredAt + toleranceMs))
      say(`attempt ${attempt} of ${path} was made before its time`);
  }
}
