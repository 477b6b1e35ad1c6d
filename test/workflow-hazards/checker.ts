// Checker: compares what the runs of a seed did with what their policies, their model and the engine's promises allow.
//
// What can be proven of a step: the fence is around the journal, not around the world. A worker that was frozen between
// its last write and its handler has an effect after another worker finished the step; no lease can prevent that. Such a
// late effect is allowed to a worker that was out, once for each branch it was in, and has the step's own key.
import { isDeepStrictEqual } from "node:util";
import type pg from "pg";
import { decode } from "../../sdk/engine/postgres/codec.ts";
import type { Effect, Outage } from "./effects.ts";
import { expect, type Facts } from "./model.ts";
import { nodesOf, type Specification, type StepSpec, type WorkflowSpec, widthOf } from "./specification.ts";

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

interface Row {
  readonly seq: number;
  readonly epoch: number;
  readonly type: string;
  readonly node: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: the fields of every type of row
  readonly data: any;
  readonly output: string | null;
  /** Milliseconds. */
  readonly at: number;
}

interface Run {
  readonly id: string;
  readonly workflow: string;
  readonly state: string;
  readonly parent: string | null;
  readonly slotKey: string | null;
  readonly input: { id: string; seed: number; tenant: string };
  readonly output: Record<string, unknown> | undefined;
  readonly error: { code: string; message: string } | null;
  readonly journal: Row[];
  readonly effects: Effect[];
}

type Say = (what: string) => undefined;

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
}

/** Two clocks of one machine differ by no more, milliseconds. */
const toleranceMs = 5;
const ends = new Set(["run.done", "run.failed", "run.canceled"]);

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
  const sums = { repeated: 0, late: 0, interrupted: 0, undone: 0, deaths: 0 };
  const outOf = Map.groupBy(outages, ({ worker }) => worker);

  for (const run of runs.values()) {
    states[run.state] = (states[run.state] ?? 0) + 1;
    const spec = specs.get(run.workflow)!;
    const say: Say = (what) => {
      told(run, what);
    };
    checkJournal(run, say);
    checkOutcome(run, spec, runs, say);
    checkEffects(run, spec, outOf, sums, say);
    checkCompensation(run, spec, say);
    checkActs(run, spec, acts, say);
    sums.interrupted += run.journal.filter(
      ({ type, data }) => type === "step.failed" && data.error.code === "interrupted",
    ).length;
    sums.undone += run.journal.filter(({ type }) => type === "step.compensated").length;
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

async function load(pool: pg.Pool, effects: readonly Effect[]): Promise<Map<string, Run>> {
  const journals = await pool.query(
    `SELECT run_id, seq, epoch, type, node, data, output::text AS output, extract(epoch FROM at)::float8 * 1000 AS at
       FROM tsdev.journal ORDER BY run_id, seq`,
  );
  const rowsOf = Map.groupBy(journals.rows as (Row & { run_id: string })[], (row) => row.run_id);
  const effectsOf = Map.groupBy(effects, ({ runId }) => runId);
  const { rows } = await pool.query(
    `SELECT id, workflow, state, parent, slot_key AS "slotKey", input::text AS input, output::text AS output, error FROM tsdev.runs`,
  );
  return new Map(
    rows.map((row) => [
      row.id,
      {
        ...row,
        input: decode(row.input),
        output: row.output === null ? undefined : decode(row.output),
        journal: rowsOf.get(row.id) ?? [],
        effects: effectsOf.get(row.id) ?? [],
      },
    ]),
  );
}

function checkJournal(run: Run, say: Say): undefined {
  const { journal } = run;
  for (const [index, { seq }] of journal.entries()) {
    if (seq !== index + 1) return say(`row ${index + 1} of the journal has the number ${seq}`);
  }
  for (const [index, { epoch, seq }] of journal.entries()) {
    if (index > 0 && epoch < journal[index - 1]!.epoch)
      return say(`row ${seq} is of an earlier lease than the row before it`);
  }
  if (!["run.queued", "run.started"].includes(journal[0]?.type ?? "")) say("its first row is no beginning");
  const last = journal.at(-1)?.type;
  if (last !== `run.${run.state}`) say(`it is ${run.state} and its last row is ${last}`);
  let ended = false;
  for (const { type, seq } of journal) {
    if (ended && type !== "run.retried") return say(`row ${seq} comes after its end`);
    ended = ends.has(type);
  }
  // What is in the journal as finished is not finished a second time, unless a person asked for it.
  const finished = new Map<string, Set<string>>();
  for (const { type, node, data, seq } of journal) {
    if (type === "run.retried") {
      if (data.from !== null) finished.clear();
      else
        for (const types of finished.values())
          for (const one of ["step.failed", "approval.answered"]) types.delete(one);
      continue;
    }
    if (!["step.finished", "step.failed", "step.compensated", "event.received", "approval.answered"].includes(type))
      continue;
    const types = finished.get(node!) ?? new Set();
    if (types.has(type)) say(`row ${seq} says ${type} of ${node} a second time`);
    finished.set(node!, types.add(type));
  }
}

function factsOf(run: Run, runs: ReadonlyMap<string, Run>): Facts {
  const interrupted = new Set<string>();
  const received = new Map<string, unknown>();
  const approvals = new Map<string, { approved: boolean }>();
  const children = new Map<string, { state: string; output: unknown; code: string }>();
  const failed = new Set<string>();
  for (const { type, node, data, output } of run.journal) {
    const path = node!;
    if (type === "run.retried") {
      for (const one of failed) for (const facts of [interrupted, received, approvals, children]) facts.delete(one);
      failed.clear();
    } else if (type === "step.failed") {
      failed.add(path);
      if (data.error.code === "interrupted") interrupted.add(path);
      if (data.error.code === "timeout") received.set(path, undefined);
    } else if (type === "event.received") received.set(path, decode(output!));
    else if (type === "decided" && data.taken === "timeout") received.set(path, undefined);
    else if (type === "approval.answered") approvals.set(path, decode(output!) as { approved: boolean });
    else if (type === "child.started") {
      const child = runs.get(data.childRunId);
      if (child) children.set(path, { state: child.state, output: child.output, code: "step_failed" });
    }
  }
  return { interrupted, received, approvals, children };
}

function checkOutcome(run: Run, spec: WorkflowSpec, runs: ReadonlyMap<string, Run>, say: Say): undefined {
  if (run.state === "canceled") {
    if (run.error?.code !== "canceled") say(`it is canceled with the error ${run.error?.code}`);
    return undefined;
  }
  if (run.state !== "done" && run.state !== "failed") return say(`it has not ended: it is ${run.state}`);
  if (run.state === "failed" && run.error?.code === "run_failed" && deathsInARow(run) > 5) return;
  let expected: ReturnType<typeof expect>;
  try {
    expected = expect(spec, run.input, factsOf(run, runs));
  } catch (error) {
    // A list whose item failed may leave what comes after it unknown.
    return say(`the model cannot follow it: ${(error as Error).message}`);
  }
  if (expected.state !== run.state) {
    return say(
      `it is ${run.state} (${run.error?.message ?? ""}), the model says ${expected.state}${"why" in expected ? ` (${expected.why})` : ""}`,
    );
  }
  if (expected.state === "done" && !isDeepStrictEqual(withoutMessages(run.output), withoutMessages(expected.output))) {
    say(`its output is ${JSON.stringify(run.output)}, the model says ${JSON.stringify(expected.output)}`);
  }
}

/** Of collected errors only the code is modelled; dates and undefined as JSON has them. */
function withoutMessages(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_key, one) =>
    one?.ok === false ? { ok: false, code: one.error.code } : one,
  );
}

function deathsInARow({ journal }: Run): number {
  let deaths = 0;
  let most = 0;
  for (const { type, data } of journal) {
    if (type === "run.resumed" && data?.died) most = Math.max(most, ++deaths);
    else if (!["run.resumed", "step.started", "attempt.failed"].includes(type)) deaths = 0;
    if (type === "run.failed") return most;
  }
  return most;
}

function idOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function checkEffects(
  run: Run,
  spec: WorkflowSpec,
  outOf: ReadonlyMap<string, readonly Outage[]>,
  sums: { repeated: number; late: number },
  say: Say,
): undefined {
  const steps = new Map(nodesOf(spec.nodes).flatMap((node) => (node.op === "step" ? [[node.id, node] as const] : [])));
  const canceledAndRetried =
    run.journal.some(({ type }) => type === "run.canceled") && run.journal.some(({ type }) => type === "run.retried");
  const lateOf = new Map<string, number>();
  for (const [name, those] of Map.groupBy(run.effects, ({ kind, path }) => `${kind} ${path}`)) {
    const { kind, path } = those[0]!;
    const step = steps.get(idOf(path));
    if (!step) {
      say(`an effect of ${path}, which it does not have`);
      continue;
    }
    const rows = run.journal.filter(({ node }) => node === path);
    const again = run.journal.filter(({ type, data }) => type === "run.retried" && data.from !== null);
    const keys = new Set(those.map(({ key }) => key));
    if (keys.size > 1 + again.length) say(`${name} was done under ${keys.size} keys`);
    sums.repeated += those.length - keys.size;
    if (kind === "do" && step.idempotent === false) checkOnce(run, path, those, say);
    // By what was journaled, nothing began after it.
    const type = kind === "do" ? "step.finished" : "step.compensated";
    const over = rows.filter((row) => row.type === type);
    const end = run.journal.findLast(({ type: one }) => ends.has(one));
    for (const effect of those) {
      const before = over.find(
        (row) =>
          row.at < effect.enteredAt - toleranceMs &&
          !again.some((one) => one.seq > row.seq && one.at <= effect.enteredAt + toleranceMs),
      );
      const afterEnd = end !== undefined && end.at < effect.enteredAt - toleranceMs;
      if ((!before && !afterEnd) || canceledAndRetried) continue;
      const outage = outOf
        .get(effect.worker)
        ?.find(({ from, to }) => from <= effect.enteredAt && effect.enteredAt <= to + 1_000);
      const what = before ? `${type} is row ${before.seq}` : "the run's end";
      if (!outage)
        say(
          `${name} was done ${Math.round(effect.enteredAt - (before ?? end!).at)} ms after ${what}, by ${effect.worker}, which was not out`,
        );
      sums.late++;
      lateOf.set(effect.worker, (lateOf.get(effect.worker) ?? 0) + 1);
    }
    if (over.length > 0 && those.length === 0) say(`${path} finished and left no effect`);
  }
  for (const row of run.journal) {
    const isLeaf = row.type === "step.finished" && steps.has(idOf(row.node!));
    if (isLeaf && !run.effects.some(({ kind, path }) => kind === "do" && path === row.node))
      say(`${row.node} finished and left no effect`);
  }
  const width = widthOf(spec.nodes);
  for (const [worker, late] of lateOf) {
    const outages = outOf.get(worker)?.length ?? 0;
    if (late > width * Math.max(1, outages))
      say(`${worker} left ${late} effects after it had lost the run, which has ${width} branches at most`);
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

function checkCompensation(run: Run, spec: WorkflowSpec, say: Say): undefined {
  const undoable = new Map(
    nodesOf(spec.nodes).flatMap((node) =>
      node.op === "step" && node.compensate ? [[node.id, node] as [string, StepSpec]] : [],
    ),
  );
  const undone = run.effects.filter(({ kind }) => kind === "undo");
  if (run.state === "done" && undone.length > 0) return say(`it is done and ${undone[0]!.path} was undone`);
  const compensated = run.journal.filter(({ type }) => type === "step.compensated" || type === "compensation.failed");
  const finished = new Map(
    run.journal.flatMap(({ type, node, seq, at }) => (type === "step.finished" ? [[node!, { seq, at }]] : [])),
  );
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
  for (const path of finished.keys()) {
    if (undoable.has(idOf(path)) && !compensated.some(({ node }) => node === path))
      say(`it is ${run.state} and ${path} was not undone`);
  }
}

function checkActs(run: Run, spec: WorkflowSpec, acts: Acts, say: Say): undefined {
  const { journal } = run;
  const steps = new Map(nodesOf(spec.nodes).flatMap((node) => (node.op === "step" ? [[node.id, node] as const] : [])));
  const retried = journal.some(({ type }) => type === "run.retried");
  for (const { type, node, data, at, seq, epoch } of journal) {
    if (type === "step.failed" && data.error.code === "interrupted") {
      if (steps.get(idOf(node!))?.idempotent !== false) say(`${node} may run again and failed with interrupted`);
      const begun = journal.findLast((row) => row.seq < seq && row.node === node && row.type === "step.started");
      if (!begun || begun.epoch >= epoch) say(`${node} failed with interrupted and nobody had begun it`);
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

/** Every time of the cron between the first and the last is one run, and none began early. */
function checkTicks(runs: readonly Run[], told: (run: Run, what: string) => void): undefined {
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
function checkSlots(
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

function printed({ journal, effects, error }: Run): string[] {
  const rows = journal.map(({ seq, epoch, type, node, data, at }) => ({
    at,
    text: `${seq} e${epoch} ${type} ${node ?? ""} ${JSON.stringify(data)?.slice(0, 160) ?? ""}`,
  }));
  const done = effects.map(({ enteredAt, kind, path, attempt, worker, key }) => ({
    at: enteredAt,
    text: `   ${kind} ${path} attempt ${attempt} by ${worker} key ${key.slice(0, 6)}`,
  }));
  const all = [...rows, ...done]
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, text }) => `${new Date(at).toISOString().slice(11)} ${text}`);
  return error ? [...all, JSON.stringify(error)] : all;
}
