// Checks the effects of a run's steps against its journal: how often, under which keys, and when.
//
// What can be proven of a step: the fence is around the journal, not around the world. A worker that was frozen between
// its last write and its handler has an effect after another worker finished the step; no lease can prevent that. Such a
// late effect is allowed to a worker that was out, once for each branch it was in, and has the step's own key.
import type { Effect, Outage } from "./effects.ts";
import type { Forgetting } from "./forgetting.ts";
import { ends, idOf, isInterruption, type Row, type Run, type Say, toleranceMs } from "./recorded-run.ts";
import { nodesOf, type WorkflowSpec, widthOf } from "./specification.ts";

export function checkEffects(
  run: Run,
  spec: WorkflowSpec,
  forgettings: readonly Forgetting[],
  outOf: ReadonlyMap<string, readonly Outage[]>,
  sums: { repeated: number; late: number },
  say: Say,
): undefined {
  const steps = new Map(nodesOf(spec.nodes).flatMap((node) => (node.op === "step" ? [[node.id, node] as const] : [])));
  const lateOf = new Map<string, number>();
  const endings = run.journal.filter((row) => ends.has(row.type));
  const undoings = endings.filter((row) => !(isInterruption(row) && run.state === "canceled"));
  /** Since a row, whoever did the effect may have been asked to do it again. */
  const askedAgain = (row: Row, { enteredAt }: Effect, those: readonly Forgetting[]) =>
    those.some(({ seq, at }) => seq > row.seq && at <= enteredAt + toleranceMs);
  for (const [name, those] of Map.groupBy(run.effects, ({ kind, path }) => `${kind} ${path}`)) {
    const { kind, path } = those[0]!;
    const step = steps.get(idOf(path));
    if (!step) {
      say(`an effect of ${path}, which it does not have`);
      continue;
    }
    const type = kind === "do" ? "step.finished" : "step.compensated";
    const over = run.journal.filter((row) => row.node === path && row.type === type);
    const renewals = forgettings.filter(({ renews }) => renews(path));
    const keys = new Set(those.map(({ key }) => key));
    if (keys.size > 1 + renewals.length)
      say(`${name} was done under ${keys.size} keys, and renewed ${renewals.length} times`);
    sums.repeated += those.length - keys.size;
    if (kind === "do" && step.idempotent === false) checkOnce(run, path, those, say);
    // By what was journaled, nothing began after it.
    for (const effect of those) {
      const before = [
        over.find((row) => isBefore(row, effect) && !askedAgain(row, effect, renewals)),
        (kind === "do" ? endings : undoings).find(
          (row) => isBefore(row, effect) && !askedAgain(row, effect, forgettings),
        ),
      ].find((row) => row !== undefined);
      if (!before) continue;
      const outage = outOf
        .get(effect.worker)
        ?.find(({ from, to }) => from <= effect.enteredAt && effect.enteredAt <= to + 1_000);
      if (!outage) {
        const lateMs = Math.round(effect.enteredAt - before.at);
        say(
          `${name} was done ${lateMs} ms after row ${before.seq}, ${before.type}, by ${effect.worker}, which was not out`,
        );
      }
      sums.late++;
      lateOf.set(effect.worker, (lateOf.get(effect.worker) ?? 0) + 1);
    }
  }
  checkFinished(run, new Set(steps.keys()), say);
  const width = widthOf(spec.nodes);
  for (const [worker, late] of lateOf) {
    const outages = outOf.get(worker)?.length ?? 0;
    if (late > width * Math.max(1, outages))
      say(`${worker} left ${late} effects after it had lost the run, which has ${width} branches at most`);
  }
}

function isBefore(row: Row, effect: Effect): boolean {
  return row.at < effect.enteredAt - toleranceMs;
}

/** Each time that a step finished it had an effect under a key of its own. */
function checkFinished({ journal, effects }: Run, steps: ReadonlySet<string>, say: Say): undefined {
  const rows = journal.filter(({ type, node }) => type === "step.finished" && steps.has(idOf(node!)));
  for (const [path, times] of Map.groupBy(rows, ({ node }) => node!)) {
    const keys = new Set(effects.flatMap((one) => (one.kind === "do" && one.path === path ? [one.key] : [])));
    if (keys.size < times.length)
      say(`${path} finished ${times.length} times and left effects under ${keys.size} keys`);
  }
}

/** A step that must not run twice: its journal allows each time, before it. */
function checkOnce(run: Run, path: string, those: readonly Effect[], say: Say): undefined {
  const rows = run.journal.filter(({ node, type }) => node === path || type === "run.retried");
  const begun = rows.filter(({ type }) => type === "step.started");
  if (those.length > begun.length)
    say(`${path}, which must not run twice, was done ${those.length} times and begun ${begun.length} times`);
  let inFlight = false;
  for (const { type, seq } of rows) {
    if (type === "step.started" && inFlight) say(`row ${seq} begins ${path} while it may be under way`);
    if (type === "step.started") inFlight = true;
    else if (type === "attempt.failed" || type === "run.retried") inFlight = false;
  }
  // Every time is after its row.
  for (const [index, effect] of those.entries()) {
    if (begun[index] && effect.enteredAt < begun[index].at - toleranceMs)
      say(`${path} was done before row ${begun[index].seq} said that it begins`);
  }
}
