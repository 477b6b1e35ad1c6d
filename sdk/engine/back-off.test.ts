// A run between two attempts of a step: put down when that is long, woken in time, paused and canceled at once, and after
// the last attempt never made again.
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine, EngineOptions, RunStatus } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";
import type { RunEvent } from "./run-event.ts";
import { collectSpans } from "./spans.fixture.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const Id = z.object({ id: z.string() });
const spans = collectSpans();
let postgres: PostgresFixture;
const engines: Engine[] = [];
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  await postgres?.stop();
});

async function open(options: EngineOptions = {}): Promise<Engine> {
  const engine = await openEngine({
    databaseUrl: postgres.url,
    leaseMs: 10_000,
    closeMs: 500,
    log: silent,
    ...options,
  });
  engines.push(engine);
  return engine;
}

/** Attempts by run, in the order in which they were made. */
const made = new Map<string, number[]>();

/** So many attempts fail, each told to come again after `waitMs`. */
function busy<const N extends string>(name: N, fails: number, waitMs: number) {
  return procedure({
    name,
    input: Id,
    output: z.object({}),
    policies: { retry: { maxAttempts: 3, backoff: "fixed", initialMs: waitMs } },
    handler: (_input, ctx) => {
      made.set(ctx.runId!, [...(made.get(ctx.runId!) ?? []), ctx.attempt]);
      if (ctx.attempt <= fails) throw Object.assign(new Error("busy"), { retryable: true });
      return {};
    },
  });
}
const hours = workflow("hours")
  .input(Id)
  .step(busy("comes-back-late", 1, 3_600_000));
const second = workflow("second")
  .input(Id)
  .step(busy("comes-back", 1, 2_000));

async function until<T>(probe: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const inState = (engine: Engine, runId: string, state: RunStatus["state"]) =>
  until(async () => {
    const run = await engine.run(runId);
    return run?.state === state && run;
  });
async function eventsOf(engine: Engine, runId: string): Promise<RunEvent[]> {
  const all: RunEvent[] = [];
  for await (const one of engine.events(runId)) all.push(one);
  return all;
}

test("a run whose step is tried again late takes no place, says when, and can be canceled at once", async () => {
  const engine = await open({ maxRunning: 1 });
  const began = Date.now();
  await engine.start(hours, { id: "a" }, { runId: "late" });
  const { waits } = await inState(engine, "late", "waiting");
  expect(waits).toEqual([{ kind: "timer", node: "comes-back-late", wakeAt: expect.any(Date) }]);
  const { wakeAt } = waits[0] as { wakeAt: Date };
  expect(Math.abs(wakeAt.getTime() - began - 3_600_000)).toBeLessThan(60_000);
  // The only place is free.
  await engine.execute(
    workflow("beside")
      .input(Id)
      .step(busy("at-once", 0, 1)),
    { id: "b" },
  );
  expect(await engine.cancel("late", { reason: "enough" })).toBe(true);
  const events = await eventsOf(engine, "late");
  expect(events.map(({ type }) => type)).toEqual(["run.started", "attempt.failed", "run.waiting", "run.canceled"]);
  expect(events[1]).toMatchObject({ nextInMs: 3_600_000, nextAt: wakeAt });
  expect(made.get("late")).toEqual([1]);
});

test("a run that is paused between two attempts waits on for the same time when it is resumed", async () => {
  const engine = await open();
  await engine.start(hours, { id: "a" }, { runId: "paused" });
  const before = await inState(engine, "paused", "waiting");
  await engine.pause("paused");
  await inState(engine, "paused", "paused");
  await engine.resume("paused");
  const after = await inState(engine, "paused", "waiting");
  expect(after.waits).toEqual(before.waits);
  expect(made.get("paused")).toEqual([1]);
  await engine.cancel("paused");
});

test("two workers make each further attempt once, with the same number and under spans that end", async () => {
  const workers = [await open(), await open()];
  await Promise.all(workers.map((engine) => engine.work(createRegistry([second]))));
  const ids = Array.from({ length: 12 }, (_none, index) => `raced-${index}`);
  await Promise.all(ids.map((runId, index) => workers[index % 2]!.start(second, { id: runId }, { runId })));
  for (const runId of ids) {
    const events = await eventsOf(workers[0]!, runId);
    expect(events.map(({ type }) => type)).toEqual([
      "run.started",
      "attempt.failed",
      "run.waiting",
      "step.finished",
      "run.done",
    ]);
    expect(events[3]).toMatchObject({ attempts: 2 });
    expect(made.get(runId)).toEqual([1, 2]);
    const failed = events[1] as RunEvent & { type: "attempt.failed" };
    expect(events[3]!.at.getTime()).toBeGreaterThanOrEqual(failed.nextAt!.getTime());
  }
  const step = "workflow second > step comes-back";
  const paths = spans.paths().filter((path) => path.includes(step));
  for (const attempt of [1, 2])
    expect(paths.filter((path) => path.endsWith(`${step} > attempt ${attempt}`))).toHaveLength(12);
});

test("a run goes down when all that is left of it waits, and not before", async () => {
  const engine = await open();
  const gate = Promise.withResolvers<void>();
  const w = workflow("siblings")
    .input(Id)
    .each(
      "items",
      () => [0, 1],
      (item) =>
        item.step(busy("comes-back-to", 1, 1_050)).run("hold", async ({ index }) => {
          if (index === 1) await gate.promise;
          return {};
        }),
      { concurrency: 2 },
    )
    .parallel([
      busy("left", 1, 3_600_000),
      procedure({ name: "right", input: Id, output: z.object({}), handler: () => ({}) }),
    ]);
  // Attempts of both items are counted under the one run.
  await engine.start(w, { id: "a" }, { runId: "siblings" });
  await until(async () => made.get("siblings")?.length === 4);
  expect((await engine.run("siblings"))?.state).toBe("running");
  gate.resolve();
  const { finishedSteps, waits } = await inState(engine, "siblings", "waiting");
  expect(waits).toMatchObject([{ kind: "timer", node: "left" }]);
  expect(finishedSteps).toContain("right");
  await engine.cancel("siblings");
});

test("a step whose last attempt failed fails, also when its worker died before it could say so", async () => {
  const { name, version, ir } = second;
  const store = await PostgresStore.open({ databaseUrl: postgres.url, leaseMs: 100, connections: 2 });
  const run = { id: "last", workflow: name, version, ir, input: { id: "a" }, scope: { id: "a" }, inputDigest: "" };
  const more = { traceparent: null, origin: { kind: "direct" }, principal: null, slotKey: null, parent: null } as const;
  const begun = await store.begin({ ...run, ...more }, { take: true, delayMs: 0 });
  const error = { code: "internal" as const, message: "busy", fix: "wait" };
  for (const attempt of [1, 2, 3]) {
    const nextInMs = attempt === 3 ? null : 1;
    const data = { attempt, error, nextInMs, nextAt: nextInMs === null ? null : new Date(0) };
    await store.append(
      { runId: "last", epoch: begun.run.epoch },
      { seq: attempt + 1, type: "attempt.failed", node: "comes-back", data },
    );
  }
  await store.close();
  const engine = await open();
  await engine.work(createRegistry([second]));
  const failed = await inState(engine, "last", "failed");
  expect(failed.error).toMatchObject({ code: "step_failed", message: expect.stringMatching(/after 3 attempts: busy/) });
  expect(made.get("last")).toBeUndefined();
  // A person may have it tried anew.
  await engine.retry("last");
  await inState(engine, "last", "done");
  expect(made.get("last")).toEqual([1, 2]);
});
