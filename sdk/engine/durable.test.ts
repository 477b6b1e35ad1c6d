// Durable runs by hazard: a worker that is killed, a stale worker, two workers at once, a deploy in between.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { startCollector } from "../tracing/collector.fixture.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";
import { collectSpans } from "./spans.fixture.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const spans = collectSpans();
let postgres: PostgresFixture;
let pool: pg.Pool;
const engines: Engine[] = [];
const workers = new Set<ChildProcess>();

beforeAll(async () => {
  postgres = await startPostgres();
  pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on("error", () => {});
  await pool.query(`CREATE TABLE effects (run_id text, node text, key text, pid int, finished_before bool)`);
});
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await Promise.all(engines.map((engine) => engine.close()));
  await pool?.end();
  await postgres?.stop();
});

async function open(leaseMs = 400, log = silent): Promise<Engine> {
  const engine = await openEngine({ databaseUrl: postgres.url, leaseMs, closeMs: 2_000, log });
  engines.push(engine);
  return engine;
}

async function worker(
  args: string[],
  env: Record<string, string> = {},
  execArgv: string[] = [],
): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("./worker.fixture.ts", import.meta.url)), args, {
    env: { ...process.env, DATABASE_URL: postgres.url, ...env },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    execArgv,
  });
  workers.add(child);
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("exit", (code, signal) => reject(new Error(`the worker ended: ${code ?? signal}`)));
  });
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
  workers.delete(child);
}

async function until<T>(probe: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Effect {
  run_id: string;
  node: string;
  key: string;
  pid: number;
  finished_before: boolean;
}
const effectsOf = async (runIds: string[]) =>
  (await pool.query<Effect>("SELECT * FROM effects WHERE run_id = ANY ($1)", [runIds])).rows;
const unfinished = async (runIds: string[]) =>
  (await pool.query("SELECT id FROM tsdev.runs WHERE id = ANY ($1) AND state <> 'done'", [runIds])).rows.length;

describe("a worker that is killed", () => {
  test("in the middle of a step: another carries on, finished steps do not run again, the step has its old key", async () => {
    const first = await worker(["start", "kill-1"], { HANG_AT: "right" });
    await until(async () => (await effectsOf(["kill-1"])).some(({ node }) => node === "right"));
    await until(
      async () =>
        (await pool.query("SELECT FROM tsdev.journal WHERE node = 'left' AND type = 'step.finished'")).rows.length > 0,
    );
    await kill(first);
    const second = await worker(["resume"]);
    await until(async () => (await unfinished(["kill-1"])) === 0);
    const effects = await effectsOf(["kill-1"]);
    const count = (name: string) => effects.filter(({ node }) => node === name).length;
    expect(["one", "two", "left", "right", "three"].map(count)).toEqual([1, 1, 1, 2, 1]);
    const [before, after] = effects.filter(({ node }) => node === "right");
    expect(before?.key).toBe(after?.key);
    expect(before?.pid).toBe(first.pid);
    expect(after?.pid).toBe(second.pid);
    await kill(second);
  });

  test("at random moments under forty runs: every run ends and no step runs that had finished", async () => {
    const runIds = Array.from({ length: 40 }, (_, index) => `many-${index}`);
    let current = await worker(["start", ...runIds]).catch(() => undefined);
    let kills = 0;
    while ((await unfinished(runIds)) > 0 || kills === 0) {
      // Killed when it has done a few more steps, whatever they are.
      const before = (await effectsOf(runIds)).length;
      await until(async () => (await effectsOf(runIds)).length > before + 15 || (await unfinished(runIds)) === 0);
      if (current && (await unfinished(runIds)) > 0) {
        await kill(current);
        kills++;
      } else if (kills === 0) break;
      if ((await unfinished(runIds)) > 0) current = await worker(["resume"]);
    }
    if (current) await kill(current);
    const effects = await effectsOf(runIds);
    expect(effects.filter(({ finished_before }) => finished_before)).toEqual([]);
    const nodes = new Set(effects.map(({ run_id, node }) => `${run_id} ${node}`));
    expect(nodes.size).toBe(40 * 5);
    const keys = new Set(effects.map(({ run_id, node, key }) => `${run_id} ${node} ${key}`));
    expect(keys.size).toBe(nodes.size);
  });
});

const Id = z.object({ id: z.string() });
const step = <const N extends string>(name: N, handler: () => Promise<void> | void) =>
  procedure({
    name,
    input: Id,
    output: z.object({ [name]: z.number() } as Record<N, z.ZodNumber>),
    handler: async () => {
      await handler();
      return { [name]: 1 } as never;
    },
  });

test("a worker that was taken for dead cannot write: its run is finished by the other and its caller gets that end", async () => {
  // The lease of the first is so short that it has expired when the step has begun, and it never renews in time.
  const first = await open(60_000);
  const second = await open(60_000);
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let runs = 0;
  const w = workflow("stale")
    .input(Id)
    .step(
      step("slow", async () => {
        if (++runs > 1) return;
        begun.resolve();
        await goOn.promise;
      }),
    )
    .step(step("next", () => {}));
  const stale = first.execute(w, { id: "a" }, { runId: "stale-1" });
  await begun.promise;
  await pool.query("UPDATE tsdev.runs SET due_at = now() - interval '1 s' WHERE id = 'stale-1'");
  expect(await second.work(createRegistry([w]))).toBe(1);
  await until(async () => (await second.run("stale-1"))?.state === "done");
  goOn.resolve();
  expect(await stale).toEqual({ id: "a", slow: 1, next: 1 });
  const { rows } = await pool.query(
    "SELECT node, epoch FROM tsdev.journal WHERE run_id = 'stale-1' AND type = 'step.finished' ORDER BY node",
  );
  expect(rows).toEqual([
    { node: "next", epoch: 2 },
    { node: "slow", epoch: 2 },
  ]);
});

test("one id given to two workers at once is one run, and both get its end", async () => {
  const [a, b] = [await open(), await open()];
  let runs = 0;
  const w = workflow("shared")
    .input(Id)
    .step(step("count", () => void runs++));
  const ends = await Promise.all([a, b].map((engine) => engine.execute(w, { id: "x" }, { runId: "shared-1" })));
  expect(ends).toEqual([
    { id: "x", count: 1 },
    { id: "x", count: 1 },
  ]);
  expect(runs).toBe(1);
  await expect(b.execute(w, { id: "y" }, { runId: "shared-1" })).rejects.toMatchObject({ code: "conflict" });
});

test("a failed run stays failed and gives the same error again", async () => {
  const engine = await open();
  const w = workflow("fails")
    .input(Id)
    .step(
      step("bad", () => {
        throw new Error("no stock");
      }),
    );
  const message = 'workflow "fails": step "bad" failed after 1 attempt: no stock';
  await expect(engine.execute(w, { id: "a" }, { runId: "fails-1" })).rejects.toThrow(message);
  await expect(engine.execute(w, { id: "a" }, { runId: "fails-1" })).rejects.toMatchObject({
    code: "step_failed",
    message,
  });
});

describe("a run and a deploy in between", () => {
  const done: string[] = [];
  const a = step("a", () => void done.push("a"));
  const b = step("b", () => void done.push("b"));
  const c = step("c", () => void done.push("c"));

  test("keeps the IR it began with: steps that the new version added do not run in it", async () => {
    const engine = await open();
    await orphan("deploy-1", workflow("deploy").input(Id).step(a).step(b));
    await engine.work(createRegistry([workflow("deploy").input(Id).step(a).step(c).step(b)]));
    await until(async () => (await engine.run("deploy-1"))?.state === "done");
    expect(done).toEqual(["a", "b"]);
  });

  test("is left alone by a version that no longer has its step, and finished by one that has", async () => {
    const warnings: unknown[] = [];
    const without = await open(400, { ...silent, warn: (_message, fields) => void warnings.push(fields) });
    const withIt = await open();
    await orphan("deploy-2", workflow("gone").input(Id).step(a).step(b));
    expect(await without.work(createRegistry([workflow("gone").input(Id).step(a)]))).toBe(0);
    expect(warnings).toEqual([
      expect.objectContaining({ runId: "deploy-2", nodes: ["b"], fix: expect.stringContaining("previous") }),
    ]);
    expect((await without.run("deploy-2"))?.state).toBe("running");
    expect(await withIt.work(createRegistry([workflow("gone").input(Id).step(a).step(b)]))).toBe(1);
    await until(async () => (await withIt.run("deploy-2"))?.state === "done");
  });

  /** A run that was begun by a worker that is gone. */
  async function orphan(runId: string, w: { name: string; version: string; ir: object }): Promise<void> {
    await pool.query(
      `INSERT INTO tsdev.runs (id, workflow, version, ir, input, scope, input_digest, owner, due_at)
       VALUES ($1, $2, $3, $4, '{"json":{"id":"x"}}', '{"json":{"id":"x"}}', 'd', 'gone', now() - interval '1 s')`,
      [runId, w.name, w.version, JSON.stringify(w.ir)],
    );
    await pool.query("INSERT INTO tsdev.journal (run_id, seq, epoch, type) VALUES ($1, 1, 1, 'run.started')", [runId]);
  }
});

test("closing lets the step in flight finish and hands the rest of the run to the next worker at once", async () => {
  const [first, second] = [await open(60_000), await open(60_000)];
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const done: string[] = [];
  const w = workflow("handover")
    .input(Id)
    .step(
      step("first", async () => {
        begun.resolve();
        await goOn.promise;
        done.push("first");
      }),
    )
    .step(step("second", () => void done.push("second")));
  const waiting = first.execute(w, { id: "a" }, { runId: "handover-1" });
  const verdict = expect(waiting).rejects.toMatchObject({ code: "unavailable" });
  await begun.promise;
  const closed = first.close();
  goOn.resolve();
  await closed;
  await verdict;
  expect(await second.work(createRegistry([w]))).toBe(1);
  await until(async () => (await second.run("handover-1"))?.state === "done");
  expect(done).toEqual(["first", "second"]);
});

test("a run that another worker carries on stays in the trace that it began in", async () => {
  const [first, second] = [await open(60_000), await open(60_000)];
  const begun = Promise.withResolvers<void>();
  let runs = 0;
  const w = workflow("traced")
    .input(Id)
    .step(step("before", () => {}))
    .step(
      step("stuck", async () => {
        if (++runs > 1) return;
        begun.resolve();
        await new Promise(() => {});
      }),
    );
  void first.start(w, { id: "a" }, { runId: "traced-1" });
  await begun.promise;
  await pool.query("UPDATE tsdev.runs SET due_at = now() - interval '1 s' WHERE id = 'traced-1'");
  await second.work(createRegistry([w]));
  await until(async () => (await second.run("traced-1"))?.state === "done");
  // It ends after the row that says that the run is done.
  await until(async () => spans.named("workflow traced").length > 0);
  const resumed = spans.named("workflow traced")[0];
  const earlier = spans.named("step before")[0];
  expect(resumed?.attributes["tsdev.workflow.resumed"]).toBe(true);
  expect(resumed?.spanContext().traceId).toBe(earlier?.spanContext().traceId);
  expect(spans.named("step before")).toHaveLength(1);
});

test("under `register` a run is one trace of workflow, steps and the app's queries, without the engine's own", async () => {
  const collector = await startCollector();
  const register = fileURLToPath(new URL("../register.ts", import.meta.url));
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const child = await worker(["start", "registered-1"], env, ["--import", register]);
  const root = await collector.until("the span of the run", ({ spans }) =>
    spans.find(({ name }) => name === "workflow killable"),
  );
  const inTrace = collector.spans.filter(({ traceId }) => traceId === root.traceId);
  const queries = collector.spans.flatMap(({ attributes }) => attributes["db.query.text"] ?? []).map(String);
  expect(inTrace.filter(({ name }) => name.startsWith("step "))).toHaveLength(6);
  expect(queries.filter((text) => text.trim().startsWith("INSERT INTO effects"))).toHaveLength(5);
  expect(queries.filter((text) => !text.trim().startsWith("INSERT INTO effects"))).toEqual([]);
  await kill(child);
  await collector.leave();
});
