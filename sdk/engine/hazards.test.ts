// Runs that wait, call and undo, by hazard: workers killed in every kind of wait, acts while nobody works, a database
// that crashes, clocks that jump, workers that race.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { createRegistry } from "../registry.ts";
import { onEvent } from "../triggers/on-event.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine, EngineOptions, RunStatus } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";
import type { RunEvent } from "./run-event.ts";
import { paid, type WorkflowName } from "./wait-worker.fixture.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
let postgres: PostgresFixture;
let pool: pg.Pool;
/** Acts from outside, and works for nobody. */
let outside: Engine;
const engines: Engine[] = [];
const workers = new Set<ChildProcess>();

beforeAll(async () => {
  postgres = await startPostgres();
  pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on("error", () => {});
  await pool.query("CREATE TABLE effects (run_id text, node text, key text, pid int)");
  outside = await open();
});
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await Promise.all(engines.map((engine) => engine.close()));
  await pool?.end();
  await postgres?.stop();
});

async function open(options: EngineOptions = {}): Promise<Engine> {
  const engine = await openEngine({ databaseUrl: postgres.url, leaseMs: 400, closeMs: 2_000, log: silent, ...options });
  engines.push(engine);
  return engine;
}

async function worker(args: string[], env: Record<string, string> = {}): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("./wait-worker.fixture.ts", import.meta.url)), args, {
    env: { ...process.env, DATABASE_URL: postgres.url, ...env },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  workers.add(child);
  child.once("exit", () => workers.delete(child));
  await new Promise<void>((resolve) => {
    child.once("message", () => resolve());
    child.once("exit", () => resolve());
  });
  return child;
}
const start = (name: WorkflowName, runId: string, env?: Record<string, string>) => worker(["start", name, runId], env);
const work = (env?: Record<string, string>) => worker(["work"], env);

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Ends the worker as soon as its run has come so far. */
async function startAndKill(
  name: WorkflowName,
  runId: string,
  soFar: () => Promise<unknown>,
  env?: Record<string, string>,
) {
  const child = await start(name, runId, env);
  await soFar();
  await kill(child);
}

async function until<T>(probe: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const inState = (runId: string, state: RunStatus["state"], engine = outside) =>
  until(async () => {
    const run = await engine.run(runId);
    return run?.state === state ? run : undefined;
  });
/** How often each step of the run ran. */
const counts = async (runId: string): Promise<Record<string, number>> => {
  const { rows } = await pool.query<{ node: string; count: number }>(
    "SELECT node, count(*)::int AS count FROM effects WHERE run_id = $1 GROUP BY node ORDER BY min(ctid)",
    [runId],
  );
  return Object.fromEntries(rows.map(({ node, count }) => [node, count]));
};
const ran = (runId: string, node: string) => until(async () => (await counts(runId))[node]);
const seqs = (events: readonly RunEvent[]) => events.map(({ seq }) => seq);

async function follow(runId: string, options: { after?: number; signal?: AbortSignal } = {}, engine = outside) {
  const all: RunEvent[] = [];
  for await (const one of engine.events(runId, options)) all.push(one);
  return all;
}

describe("a worker that is killed", () => {
  test.each(["sleeps", "naps"] as const)("while its run %s: another wakes it when it is due", async (name) => {
    const runId = `kill-${name}`;
    const first = await start(name, runId);
    await until(async () => (await counts(runId)).before);
    if (name === "sleeps") await inState(runId, "waiting");
    else
      await until(
        async () =>
          (await pool.query("SELECT FROM tsdev.journal WHERE run_id = $1 AND type = 'timer.set'", [runId])).rowCount,
      );
    await kill(first);
    const second = await work();
    await inState(runId, "done");
    await kill(second);
    expect(await counts(runId)).toEqual({ before: 1, after: 1 });
  });

  test.each([
    ["is put down between two attempts", "backsOff", "flaky", {}],
    ["waits in its place between two attempts", "backsOffShortly", "busy", {}],
    ["has failed an attempt and is not put down yet", "backsOffBeside", "flaky", { HANG_AT: "beside" }],
  ] as const)("while its run %s: another makes the next one when it is due", async (_when, name, node, env) => {
    const runId = `kill-${name}`;
    const failed = async (attempt: number) => {
      const text = "SELECT FROM tsdev.journal WHERE run_id = $1 AND data ->> 'attempt' = $2";
      return (await pool.query(text, [runId, String(attempt)])).rowCount;
    };
    const first = await start(name, runId, env);
    await until(() => failed(1));
    if (name === "backsOff") await inState(runId, "waiting");
    if (name === "backsOffBeside") await ran(runId, "beside");
    await kill(first);
    const second = await work(env);
    await until(() => failed(2));
    await kill(second);
    const third = await work();
    await inState(runId, "done");
    await kill(third);
    expect(await counts(runId)).toMatchObject({ before: 1, [node]: 3, after: 1 });
    const { rows } = await pool.query("SELECT DISTINCT key FROM effects WHERE run_id = $1 AND node = $2", [
      runId,
      node,
    ]);
    expect(rows).toHaveLength(1);
    const events = (await follow(runId)).filter((one) => "node" in one && one.node === node);
    expect(events).toMatchObject([{ attempt: 1 }, { attempt: 2 }, { type: "step.finished", attempts: 3 }]);
    for (const [index, one] of events.entries()) {
      if (one.type === "attempt.failed") expect(events[index + 1]!.at.getTime()).toBeGreaterThan(one.nextAt!.getTime());
    }
  });

  test("while its run waits for an event: one that comes while nobody works is taken when somebody does", async () => {
    await startAndKill("pays", "kill-pays", () => inState("kill-pays", "waiting"));
    await Promise.all(
      [1, 2].map(() => outside.publish(paid, { orderId: "kill-pays", amount: 5 }, { id: "kill-pays-5" })),
    );
    const second = await work();
    await inState("kill-pays", "done");
    await kill(second);
    expect(await counts("kill-pays")).toEqual({ before: 1, after: 1 });
    expect((await follow("kill-pays")).filter(({ type }) => type === "event.received")).toHaveLength(1);
  });

  test("while its run waits for an answer: one that comes while nobody works is taken when somebody does", async () => {
    await startAndKill("asks", "kill-asks", () => inState("kill-asks", "waiting"));
    await Promise.all([1, 2].map(() => outside.approve("kill-asks", "ask", { approved: true, by: "ada" })));
    const second = await work();
    await inState("kill-asks", "done");
    await kill(second);
    expect(await counts("kill-asks")).toEqual({ before: 1, after: 1 });
  });

  test("while its run waits for a child, and in the child: both go on, and no step runs again", async () => {
    await startAndKill("calls", "kill-calls", () => ran("kill-calls/child", "inside"), { HANG_AT: "inside" });
    const second = await work();
    await inState("kill-calls/child", "waiting");
    await kill(second);
    await outside.approve("kill-calls/child", "ask", { approved: true, by: "ada" });
    const third = await work();
    await inState("kill-calls", "done");
    await kill(third);
    expect(await counts("kill-calls")).toEqual({ before: 1, after: 1 });
    // It was in the middle of the step at the first kill.
    expect(await counts("kill-calls/child")).toEqual({ inside: 2 });
  });

  test("while it undoes steps: another undoes the rest, and what was undone is not undone again", async () => {
    await startAndKill("undoes", "kill-undoes", () => ran("kill-undoes", "before undoFirst"), { HANG_AT: "undoFirst" });
    const second = await work();
    const failed = await inState("kill-undoes", "failed");
    await kill(second);
    expect(failed.error).toMatchObject({ code: "step_failed", message: expect.stringContaining("no stock") });
    expect(await counts("kill-undoes")).toEqual({
      before: 1,
      middle: 1,
      fail: 1,
      "middle undoSecond": 1,
      "before undoFirst": 2,
    });
    const { rows } = await pool.query(
      "SELECT DISTINCT key FROM effects WHERE run_id = 'kill-undoes' AND node = 'before undoFirst'",
    );
    expect(rows).toHaveLength(1);
  });

  test("during a step that must not run twice: the run fails with interrupted, and a person's retry runs it", async () => {
    await startAndKill("once", "kill-once", () => ran("kill-once", "onlyOnce"), { HANG_AT: "onlyOnce" });
    const second = await work();
    expect((await inState("kill-once", "failed")).error?.code).toBe("interrupted");
    expect((await counts("kill-once")).onlyOnce).toBe(1);
    await outside.retry("kill-once");
    await inState("kill-once", "done");
    await kill(second);
    expect(await counts("kill-once")).toEqual({ before: 1, onlyOnce: 2, after: 1 });
  });

  test("during a step that must not run twice: what came before is undone only when a person cancels the run", async () => {
    await startAndKill("onceUndoes", "kill-undo", () => ran("kill-undo", "onlyOnce"), { HANG_AT: "onlyOnce" });
    const second = await work();
    expect((await inState("kill-undo", "failed")).error?.code).toBe("interrupted");
    expect(await counts("kill-undo")).toEqual({ before: 1, onlyOnce: 1 });
    expect(await outside.cancel("kill-undo", { reason: "it was not charged" })).toBe(true);
    const canceled = await inState("kill-undo", "canceled");
    await kill(second);
    expect(canceled.error?.message).toContain("it was not charged");
    expect(await counts("kill-undo")).toEqual({ before: 1, onlyOnce: 1, "before undoFirst": 1 });
    expect(await outside.cancel("kill-undo")).toBe(false);
  });

  test("again and again by one run: the run fails, and other runs are not kept from going on", async () => {
    const env = { CRASH_AT: "crash" };
    await start("poison", "poisoned", env);
    let killed = 0;
    while ((await outside.run("poisoned"))?.state === "running") {
      const child = await work(env);
      const ended = new Promise((resolve) =>
        (child.exitCode ?? child.signalCode) ? resolve(null) : child.once("exit", resolve),
      );
      const over = inState("poisoned", "failed");
      await Promise.race([ended, over]);
      if (child.signalCode !== null) killed++;
      else await kill(child);
    }
    const { error } = await inState("poisoned", "failed");
    expect(error).toMatchObject({ code: "run_failed", message: expect.stringContaining("workers in a row died") });
    expect(killed).toBeGreaterThanOrEqual(4);
    expect(await counts("poisoned")).toEqual({ before: 1, crash: 6 });
  });

  test("at any moment of a list: every item's steps end once each in the journal, whoever follows sees all of it once", async () => {
    const runId = "kill-lists";
    let current = await start("lists", runId);
    const watched = follow(runId);
    const reconnected = (async () => {
      const all: RunEvent[] = [];
      while (all.at(-1)?.type !== "run.done") {
        const abort = new AbortController();
        // A connection that breaks after a few events.
        for await (const one of outside.events(runId, { after: all.at(-1)?.seq ?? 0, signal: abort.signal })) {
          all.push(one);
          if (all.length % 7 === 0) abort.abort();
        }
      }
      return all;
    })();
    for (let kills = 0; kills < 3; kills++) {
      const had = (await outside.run(runId))!.finishedSteps.length;
      await until(async () => {
        const run = await outside.run(runId);
        return run!.state === "done" || run!.finishedSteps.length > had + 3;
      });
      await kill(current);
      current = await work();
    }
    await inState(runId, "done");
    await kill(current);
    const events = await watched;
    expect(seqs(events)).toEqual(events.map((_one, index) => index + 1));
    expect(await reconnected).toEqual(events);
    const finished = events.flatMap((one) => (one.type === "step.finished" ? [one.node] : []));
    expect(new Set(finished).size).toBe(24);
    expect(finished).toHaveLength(24);
  });
});

const Id = z.object({ id: z.string() });

test("a database that crashes and restarts in the middle: the run goes on in the same worker, each finished step once", async () => {
  const engine = await open({ leaseMs: 5_000 });
  const ran: number[] = [];
  const w = workflow("crash")
    .input(Id)
    .each(
      "items",
      () => Array.from({ length: 60 }, (_none, index) => index),
      (body) =>
        body.run("note", async ({ item }) => {
          ran.push(item);
          await new Promise((resolve) => setTimeout(resolve, 5));
          return { noted: item };
        }),
      { concurrency: 3 },
    )
    .approve("ask");
  const end = engine.execute(w, { id: "a" }, { runId: "crash" });
  await until(async () => ran.length > 15);
  await postgres.crashAndRestart();
  await inState("crash", "waiting");
  await engine.approve("crash", "ask", { approved: true, by: "ada" });
  expect((await end).items).toHaveLength(60);
  expect(ran.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_none, index) => index));
});

test("a worker's clock that jumps a day changes no timer, no lease and no time in the journal", async () => {
  const engine = await open();
  const w = workflow("clock")
    .input(Id)
    .sleep("nap", { ms: 300 })
    .sleep("longer", { ms: 1_200 })
    .run("after", () => ({ done: true }));
  const began = performance.now();
  const end = engine.execute(w, { id: "a" }, { runId: "clock" });
  await until(async () => (await outside.run("clock"))?.state === "running");
  const real = Date.now;
  const now = vi.spyOn(Date, "now").mockImplementation(() => real() + 86_400_000);
  try {
    await end;
  } finally {
    now.mockRestore();
  }
  expect(performance.now() - began).toBeGreaterThanOrEqual(1_490);
  const events = await follow("clock");
  for (const { at } of events) expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(60_000);
});

describe("workers that race", () => {
  test("for one queued run: it runs once", async () => {
    const racers = await Promise.all(Array.from({ length: 4 }, () => open()));
    let ran = 0;
    const w = workflow("raced")
      .input(Id)
      .run("once", () => ({ ran: ++ran }));
    const runIds = Array.from({ length: 20 }, (_none, index) => `raced-${index}`);
    for (const runId of runIds) await racers[0]!.start(w, { id: "a" }, { runId, delayMs: 200 });
    const registry = createRegistry([w]);
    await Promise.all(racers.map((engine) => engine.work(registry)));
    for (const runId of runIds) await inState(runId, "done");
    expect(ran).toBe(20);
  });

  test("for the slots of one key: never more at once than the limit, in order, and waiting holds a slot", async () => {
    const racers = await Promise.all(Array.from({ length: 3 }, () => open()));
    const inside = new Map<string, number>();
    let most = 0;
    const w = workflow("limited", { concurrency: { limit: 2, key: ({ customer }: { customer: string }) => customer } })
      .input(z.object({ customer: z.string(), n: z.number() }))
      .run("enter", ({ customer }) => {
        inside.set(customer, (inside.get(customer) ?? 0) + 1);
        most = Math.max(most, inside.get(customer)!);
        return {};
      })
      .sleep("hold", { ms: 30 })
      .run("leave", ({ customer }) => {
        inside.set(customer, inside.get(customer)! - 1);
        return {};
      });
    const registry = createRegistry([w]);
    await Promise.all(racers.map((engine) => engine.work(registry)));
    const runs = Array.from({ length: 24 }, (_none, n) => ({ customer: n % 2 ? "a" : "b", n }));
    await Promise.all(runs.map((input, n) => racers[n % 3]!.execute(w, input, { runId: `limited-${n}` })));
    expect(most).toBe(2);
  });

  test("a slot is held while its run waits, and freed by a cancel", async () => {
    const engine = await open();
    const w = workflow("one-at-a-time", { concurrency: { limit: 1 } })
      .input(Id)
      .approve("ask");
    for (const n of [1, 2, 3]) await engine.start(w, { id: "a" }, { runId: `one-${n}` });
    await inState("one-1", "waiting");
    expect((await engine.run("one-2"))?.state).toBe("queued");
    await engine.cancel("one-2");
    await engine.cancel("one-1");
    await inState("one-3", "waiting");
    await engine.cancel("one-3");
  });
});

describe("back-pressure", () => {
  test("runs beyond maxRunning stay queued and begin when a place is free; a waiting run takes none", async () => {
    const engine = await open({ maxRunning: 2 });
    let inside = 0;
    let most = 0;
    const w = workflow("crowd")
      .input(Id)
      .run("work", async () => {
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setTimeout(resolve, 10));
        inside--;
        return {};
      });
    const asks = workflow("crowd-asks").input(Id).approve("ask");
    for (const n of [1, 2, 3]) await engine.start(asks, { id: "a" }, { runId: `crowd-asks-${n}` });
    for (const n of [1, 2, 3]) await inState(`crowd-asks-${n}`, "waiting");
    await Promise.all(Array.from({ length: 12 }, () => engine.execute(w, { id: "a" })));
    expect(most).toBe(2);
  });

  test("start throws rate_limited when too many are queued, and the same run again is still found", async () => {
    const engine = await open({ maxQueued: 2 });
    const w = workflow("full").input(Id);
    for (const n of [1, 2]) await engine.start(w, { id: "a" }, { runId: `full-${n}`, delayMs: 3_600_000 });
    const third = engine.start(w, { id: "a" }, { runId: "full-3", delayMs: 3_600_000 });
    await expect(third).rejects.toMatchObject({ code: "rate_limited", fix: expect.stringContaining("maxQueued") });
    expect(await engine.start(w, { id: "a" }, { runId: "full-2", delayMs: 3_600_000 })).toEqual({ runId: "full-2" });
  });

  test("however many a process starts at once, no more are queued than may be", async () => {
    const engine = await open({ maxQueued: 5 });
    const w = workflow("full-at-once").input(Id);
    const crowd = (round: string) =>
      Promise.allSettled(
        Array.from({ length: 40 }, (_, n) =>
          engine.start(w, { id: "a" }, { runId: `at-once-${round}-${n}`, delayMs: 3_600_000 }),
        ),
      );
    const settled = [...(await crowd("one")), ...(await crowd("two"))];
    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    expect(await engine.runs({ workflow: "full-at-once", state: "queued", limit: 100 })).toHaveLength(5);
    await engine.cancel("at-once-one-0");
    await engine.start(w, { id: "a" }, { runId: "at-once-later", delayMs: 3_600_000 });
  });
});

describe("events that start runs", () => {
  const placed = event({ name: "placed", payload: z.object({ id: z.string(), total: z.number() }) });
  let ran: string[] = [];
  beforeEach(() => {
    ran = [];
  });
  const fulfil = workflow("fulfil")
    .input(Id)
    .run("note", ({ id }) => {
      ran.push(id);
      return {};
    });
  const trigger = onEvent({
    name: "large-orders",
    workflow: fulfil,
    event: placed,
    filter: ({ total }) => total > 100,
    input: ({ id }) => ({ id }),
  });

  test("one that nobody dispatched is dispatched by whoever works, once, and the run says what it came from", async () => {
    await outside.publish(placed, { id: "big", total: 200 }, { id: "placed-1" });
    await outside.publish(placed, { id: "big", total: 200 }, { id: "placed-1" });
    await outside.publish(placed, { id: "small", total: 2 }, { id: "placed-2" });
    const both = await Promise.all([open(), open()]);
    await Promise.all(both.map((engine) => engine.work(createRegistry([trigger]))));
    const run = await inState("event:large-orders:placed-1", "done");
    expect(run.origin).toEqual({ kind: "event", name: "large-orders", id: "placed-1" });
    await until(
      async () =>
        (await pool.query("SELECT FROM tsdev.events WHERE name = 'placed' AND NOT dispatched")).rowCount === 0,
    );
    expect(ran).toEqual(["big"]);
    expect(await outside.run("event:large-orders:placed-2")).toBeUndefined();
    // A dispatcher that died before it marked the event.
    await pool.query("UPDATE tsdev.events SET dispatched = false WHERE id = 'placed-1'");
    await until(
      async () =>
        (await pool.query("SELECT FROM tsdev.events WHERE name = 'placed' AND NOT dispatched")).rowCount === 0,
    );
    expect(ran).toEqual(["big"]);
  });
});

test("a wake-up that a crash left out is made good: a parent whose child ended unnoticed, a freed slot nobody passed on", async () => {
  const engine = await open();
  const child = workflow("quiet-child").input(Id).approve("ask");
  const parent = workflow("quiet-parent").input(Id).call(child);
  await engine.start(parent, { id: "a" }, { runId: "quiet" });
  await inState("quiet", "waiting");
  await inState("quiet/quiet-child", "waiting");
  // The child ends, and whoever ended it dies before telling.
  await pool.query(
    "UPDATE tsdev.runs SET state = 'done', output = '{\"json\":{\"id\":\"a\"}}', finished_at = now(), due_at = NULL WHERE id = 'quiet/quiet-child'",
  );
  await inState("quiet", "done");
});

test("old runs and events are deleted in batches, with all that belongs to them", async () => {
  const url = await postgres.database();
  const engine = await open({ databaseUrl: url });
  const w = workflow("old")
    .input(Id)
    .run("x", () => ({}));
  for (let n = 0; n < 3; n++) await engine.execute(w, { id: "a" }, { runId: `old-${n}` });
  const store = await PostgresStore.open({ databaseUrl: url, leaseMs: 1_000, connections: 1 });
  const own = new pg.Client({ connectionString: url });
  await own.connect();
  await own.query("UPDATE tsdev.runs SET finished_at = now() - interval '31 days' WHERE id <> 'old-2'");
  await store.prune(30);
  const { rows } = await own.query("SELECT DISTINCT run_id FROM tsdev.journal");
  expect(rows).toEqual([{ run_id: "old-2" }]);
  await own.end();
  await store.close();
});
