// The checks of the hazards see what they are there for, and allow what a retry makes a run do again.
import { expect, test } from "vitest";
import { checkAttempts } from "./check-attempts.ts";
import { checkCompensation } from "./check-compensation.ts";
import { checkEffects } from "./check-effects.ts";
import { checkJournal } from "./check-journal.ts";
import type { Effect } from "./effects.ts";
import { forgettingsOf } from "./forgetting.ts";
import type { Row, Run } from "./recorded-run.ts";
import type { StepSpec, WorkflowSpec } from "./specification.ts";

const step = (id: string, more: Partial<StepSpec> = {}): StepSpec => ({
  op: "step",
  id,
  idempotent: undefined,
  reads: undefined,
  retry: false,
  waitsLong: false,
  timeout: false,
  compensate: false,
  ...more,
});
const spec: WorkflowSpec = {
  name: "flow",
  limit: undefined,
  nodes: [
    step("a", { compensate: true }),
    { op: "repeat", id: "rounds", everyMs: 0, nodes: [step("b")] },
    step("c", { idempotent: false }),
  ],
};

/** What happened, a second apart: `TYPE NODE`, `do NODE KEY`, `undo NODE KEY`. */
function violations(state: string, ...happened: string[]): string[] {
  const journal: Row[] = [];
  const effects: Effect[] = [];
  for (const [index, line] of happened.entries()) {
    const [type, node, more] = line.split(" ") as [string, string | undefined, string | undefined];
    const at = index * 1_000;
    if (type === "do" || type === "undo") {
      effects.push({ runId: "r", path: node!, kind: type, key: more!, attempt: 1, worker: "w", enteredAt: at });
      continue;
    }
    const data = type === "run.retried" ? { from: node ?? null } : { error: { code: "step_failed" } };
    const own = type === "run.retried" ? undefined : node;
    journal.push({ seq: journal.length + 1, epoch: 1, type, node: own ?? null, data, output: null, at });
  }
  const run: Run = {
    id: "r",
    workflow: "flow",
    state,
    parent: null,
    slotKey: null,
    input: { id: "r", seed: 1, tenant: "t" },
    output: undefined,
    error: null,
    journal,
    effects,
  };
  const said: string[] = [];
  const say = (what: string) => void said.push(what);
  const forgettings = forgettingsOf(journal, spec);
  checkJournal(run, forgettings, say as never);
  checkEffects(run, spec, forgettings, new Map(), { repeated: 0, late: 0 }, say as never);
  checkCompensation(run, spec, forgettings, say as never);
  return said;
}

test("a step that finishes twice is seen, and the effect that came after it had finished", () => {
  expect(
    violations("done", "run.started", "do a 1", "step.finished a", "do a 1", "step.finished a", "run.done"),
  ).toEqual([
    "row 3 says step.finished of a a second time",
    "do a was done 1000 ms after row 2, step.finished, by w, which was not out",
    "a finished 2 times and left effects under 1 keys",
  ]);
});

test("an effect after the run's end is seen, also when the run was retried later", () => {
  const lines = ["run.started", "do b 1", "step.failed b", "run.failed", "do b 1", "run.retried", "run.failed"];
  expect(violations("failed", ...lines)).toEqual([
    "do b was done 1000 ms after row 3, run.failed, by w, which was not out",
  ]);
});

const failedRounds = [
  "run.started",
  "do rounds[0]/b 1",
  "step.finished rounds[0]/b",
  "step.failed rounds",
  "run.failed",
  "run.retried",
];
const again = (key: string) => [`do rounds[0]/b ${key}`, "step.finished rounds[0]/b", "run.done"];

test("rounds that were not over begin anew after a retry, under other keys", () => {
  expect(violations("done", ...failedRounds, ...again("2"))).toEqual([]);
  expect(violations("done", ...failedRounds, ...again("1"))).toEqual([
    "rounds[0]/b finished 2 times and left effects under 1 keys",
  ]);
});

test("a retry of what failed does not run again what had finished, and one from a node does", () => {
  const before = ["run.started", "do b 1", "step.finished b", "step.failed c", "run.failed"];
  const after = ["do b 2", "step.finished b", "run.done"];
  expect(violations("done", ...before, "run.retried rounds", ...after)).toEqual([]);
  expect(violations("done", ...before, "run.retried", ...after)).toEqual([
    "row 6 says step.finished of b a second time",
    "do b was done under 2 keys, and renewed 0 times",
    "do b was done 4000 ms after row 2, step.finished, by w, which was not out",
  ]);
});

test("a step that must not run twice is seen to, and one that was not undone", () => {
  const twice = ["run.started", "step.started c", "do c 1", "do c 1", "step.finished c", "run.done"];
  expect(violations("done", ...twice)).toEqual(["c, which must not run twice, was done 2 times and begun 1 times"]);
  expect(violations("failed", "run.started", "do a 1", "step.finished a", "step.failed c", "run.failed")).toEqual([
    "it is failed and a was not undone",
  ]);
});

test("attempts that are not counted on, come before their time or after the last are seen", () => {
  const said: string[] = [];
  const row = (seq: number, attempt: number, nextInMs: number | null): Row => {
    const at = seq * 1_000;
    const data = { attempt, nextInMs, nextAt: nextInMs === null ? null : new Date(at + nextInMs).toISOString() };
    return { seq, epoch: 1, type: "attempt.failed", node: "a", data, output: null, at };
  };
  const effect = (attempt: number, enteredAt: number): Effect => {
    return { runId: "r", path: "a", kind: "do", key: "1", attempt, worker: "w", enteredAt };
  };
  const attemptsOf = (journal: Row[], effects: Effect[]) => {
    checkAttempts({ journal, effects } as unknown as Run, (what) => void said.push(what));
    return said.splice(0);
  };
  const fine = [row(1, 1, 500), row(2, 2, null)];
  expect(attemptsOf(fine, [effect(1, 990), effect(2, 1_500)])).toEqual([]);
  expect(attemptsOf(fine, [effect(2, 1_400)])).toEqual(["attempt 2 of a was made before its time"]);
  expect(attemptsOf([row(1, 1, 500), row(2, 1, 500)], [])).toHaveLength(1);
  expect(attemptsOf([...fine, row(3, 3, null)], [])).toEqual(["row 3 is of an attempt after the last one of a"]);
  const retried: Row = { ...row(3, 0, null), type: "run.retried", node: null };
  expect(attemptsOf([...fine, retried, row(4, 1, 500)], [])).toEqual([]);
});
