// Checker: compares what the runs of a seed did with what their policies, their model and the engine's promises allow.
import type pg from "pg";
import { type Acts, checkActs } from "./check-acts.ts";
import { checkSlots, checkTicks } from "./check-all-runs.ts";
import { checkAttempts, isPutDown } from "./check-attempts.ts";
import { checkCompensation } from "./check-compensation.ts";
import { checkEffects } from "./check-effects.ts";
import { checkJournal } from "./check-journal.ts";
import { checkOutcome } from "./check-outcome.ts";
import type { Effect, Outage } from "./effects.ts";
import { forgettingsOf } from "./forgetting.ts";
import { load, printed, type Run, type Say } from "./recorded-run.ts";
import type { Specification } from "./specification.ts";

export interface Violation {
  readonly runId: string;
  readonly what: string;
  readonly journal: readonly string[];
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly states: Readonly<Record<string, number>>;
  readonly effects: number;
  /** Effects of a step beyond its first with the same key: attempts, and steps that ran again after a death. */
  readonly repeated: number;
  /** Effects of workers that were out while another finished the step. */
  readonly late: number;
  readonly interrupted: number;
  readonly undone: number;
  readonly deaths: number;
  /** Runs that were put down between two attempts of a step. */
  readonly putDown: number;
  readonly retries: number;
  /** Steps that had finished and, since somebody retried their run, did so again. */
  readonly renewed: number;
}

export async function check(
  pool: pg.Pool,
  specification: Specification,
  acts: Acts,
  effects: readonly Effect[],
  outages: readonly Outage[],
): Promise<Verdict> {
  const specs = new Map([...specification.workflows, ...specification.children].map((one) => [one.name, one]));
  const runs = await load(pool, effects);
  const violations: Violation[] = [];
  const told = (run: Run, what: string) => violations.push({ runId: run.id, what, journal: printed(run) });
  const states: Record<string, number> = {};
  const sums = { repeated: 0, late: 0, interrupted: 0, undone: 0, deaths: 0, putDown: 0, retries: 0, renewed: 0 };
  const outOf = Map.groupBy(outages, ({ worker }) => worker);

  for (const run of runs.values()) {
    states[run.state] = (states[run.state] ?? 0) + 1;
    const spec = specs.get(run.workflow)!;
    const say: Say = (what) => {
      told(run, what);
    };
    const forgettings = forgettingsOf(run.journal, spec);
    checkJournal(run, forgettings, say);
    checkOutcome(run, spec, forgettings, runs, say);
    checkEffects(run, spec, forgettings, outOf, sums, say);
    checkAttempts(run, say);
    checkCompensation(run, spec, forgettings, say);
    checkActs(run, spec, acts, say);
    sums.interrupted += run.journal.filter(
      ({ type, data }) => type === "step.failed" && data.error.code === "interrupted",
    ).length;
    sums.retries += forgettings.length;
    const finished = Map.groupBy(run.journal, ({ type, node }) => (type === "step.finished" ? node : null));
    for (const [node, rows] of finished) if (node !== null) sums.renewed += rows.length - 1;
    sums.undone += run.journal.filter(({ type }) => type === "step.compensated").length;
    if (isPutDown(run)) sums.putDown++;
    sums.deaths += run.journal.filter(({ type, data }) => type === "run.resumed" && data?.died).length;
  }
  for (const effect of effects) {
    if (!runs.has(effect.runId))
      violations.push({ runId: effect.runId, what: `an effect of ${effect.path} belongs to no run`, journal: [] });
  }
  const roots = Map.groupBy(
    [...runs.values()].filter(({ parent }) => parent === null),
    ({ input }) => input.id,
  );
  for (const id of acts.started) {
    const count = roots.get(id)?.length ?? 0;
    if (count !== 1)
      violations.push({ runId: id, what: `what was started once or twice under one id is ${count} runs`, journal: [] });
  }
  for (const [id, those] of roots)
    if (those.length > 1) told(those[0]!, `${those.length} runs have the input id ${id}`);
  checkTicks([...runs.values()], told);
  checkSlots([...runs.values()], specs, told);
  return { violations, states, effects: effects.length, ...sums };
}
