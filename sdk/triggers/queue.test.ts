// Queues: a message is one run, of the engine's own queue and of BullMQ on a real Redis, through kills and crashes.
import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Queue, QueueEvents } from "bullmq";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { TsdevError } from "../errors.ts";
import { createRegistry } from "../registry.ts";
import { BegunRuns } from "./begun-runs.fixture.ts";
import { enqueue } from "./enqueue.ts";
import { type RedisFixture, redisAvailable, startRedis } from "./redis.fixture.ts";
import { startTriggers } from "./start-triggers.ts";
import { fastEngine, notes, silent } from "./triggers.fixture.ts";

describe("the engine's own", () => {
  const own = { ...notes("redis://unused"), from: undefined };

  test("a message is a run; the same id is the same", async () => {
    const begun = new BegunRuns();
    const engine = begun.engine();
    expect(await enqueue(engine, own, { text: "a" }, { id: "1", delayMs: 500 })).toEqual({ runId: "queue:notes:1" });
    await enqueue(engine, own, { text: "a" }, { id: "1" });
    const { runId } = await enqueue(engine, own, { text: "b" });
    expect(runId).toMatch(/^queue:notes:[0-9a-f-]{36}$/);
    expect([...begun.runs.values()]).toMatchObject([
      { input: { text: "a" }, origin: { kind: "queue", name: "notes", id: "1" }, options: { delayMs: 500 }, starts: 2 },
      { input: { text: "b" } },
    ]);
  });

  test("a message that does not fit is refused with the place", async () => {
    const message = { text: 1 } as unknown as { text: string };
    await expect(enqueue(new BegunRuns().engine(), own, message)).rejects.toMatchObject({
      code: "invalid_input",
      path: "text",
    });
  });
});

test("an app without BullMQ is told what to install", async () => {
  const program = `
    import { registerHooks } from "node:module";
    registerHooks({ resolve(specifier, context, next) {
      if (specifier === "bullmq") throw Object.assign(new Error("no such package"), { code: "ERR_MODULE_NOT_FOUND" });
      return next(specifier, context);
    } });
    const { bullmq } = await import(${JSON.stringify(new URL("bullmq.ts", import.meta.url).href)});
    await bullmq({ queue: "q", connection: {} }).open(async () => {}, { trigger: "notes" }).catch((error) => {
      console.log(error.code, error.message, "/", error.fix);
    });`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  expect(stdout).toBe(
    'invalid_config queue trigger "notes" reads BullMQ, and the package bullmq cannot be loaded / npm install bullmq ioredis\n',
  );
});

describe.skipIf(!(await redisAvailable()))("BullMQ", () => {
  let redis: RedisFixture;
  let postgres: PostgresFixture;
  beforeAll(async () => {
    [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([redis[Symbol.asyncDispose](), postgres.stop()]);
  });

  async function bull() {
    const connection = { url: redis.url };
    const [jobs, events] = [new Queue("notes", { connection }), new QueueEvents("notes", { connection })];
    jobs.on("error", () => {});
    events.on("error", () => {});
    await events.waitUntilReady();
    await jobs.obliterate({ force: true });
    onTestFinished(async () => {
      await Promise.all([jobs.close(), events.close()]);
    });
    return { jobs, events };
  }
  async function reader(engine: ReturnType<BegunRuns["engine"]>, log = silent) {
    const stop = await startTriggers(engine, createRegistry([notes(redis.url)]), { log });
    onTestFinished(stop);
    return stop;
  }

  test("a job is done when its run is begun", async () => {
    const { jobs, events } = await bull();
    const begun = new BegunRuns();
    await reader(begun.engine());
    const job = await jobs.add("any", { text: "a" });
    await job.waitUntilFinished(events);
    expect([...begun.runs.values()]).toMatchObject([
      { runId: `queue:notes:${job.id}@${job.timestamp}`, input: { text: "a" }, starts: 1 },
    ]);
  });

  test("a queue that was emptied counts from one again, and its messages are not those of before", async () => {
    const begun = new BegunRuns();
    for (const text of ["before", "after"]) {
      const { jobs, events } = await bull();
      const stop = await reader(begun.engine());
      const job = await jobs.add("any", { text });
      expect(job.id).toBe("1");
      await job.waitUntilFinished(events);
      await stop();
    }
    expect([...begun.runs.values()].map(({ input }) => input)).toEqual([{ text: "before" }, { text: "after" }]);
  });

  test("a message that no contract fits fails with the reason, once, and holds nobody up", async () => {
    const { jobs, events } = await bull();
    const begun = new BegunRuns();
    await reader(begun.engine());
    const bad = await jobs.add("any", { text: 7 }, { attempts: 5 });
    const good = await jobs.add("any", { text: "good" });
    await good.waitUntilFinished(events);
    await expect(bad.waitUntilFinished(events)).rejects.toThrow(/does not fit its contract at "text"/);
    expect((await jobs.getJob(bad.id!))?.attemptsMade).toBe(1);
    expect(begun.runs.size).toBe(1);
  });

  test("an engine that is away costs a message nothing but time", async () => {
    const { jobs, events } = await bull();
    const begun = new BegunRuns();
    let away = 1;
    const engine = begun.engine((what) => {
      if (what === "start" && away-- > 0) throw new TsdevError("unavailable", { message: "away", fix: "wait" });
    });
    await reader(engine);
    const job = await jobs.add("any", { text: "a" });
    await job.waitUntilFinished(events);
    expect(begun.runs.size).toBe(1);
    expect(away).toBe(-1);
  });

  test("a reader that is killed between the run and the end of its job leaves one run", async () => {
    const { jobs, events } = await bull();
    const url = await postgres.database();
    const { engine, pool } = await fastEngine(url, 1);
    const child = fork(fileURLToPath(new URL("triggers.fixture.ts", import.meta.url)), ["queue", redis.url], {
      env: { ...process.env, DATABASE_URL: url, HANG: "1" },
      silent: true,
    });
    await once(child, "message");
    const begun = once(child, "message");
    const job = await jobs.add("any", { text: "a" });
    await begun;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    expect(await jobs.getActiveCount()).toBe(1);
    await reader(engine);
    await job.waitUntilFinished(events);
    const runId = `queue:notes:${job.id}@${job.timestamp}`;
    const { rows } = await pool.query("SELECT run_id FROM starts");
    expect(rows).toEqual([{ run_id: runId }, { run_id: runId }]);
    await vi.waitFor(async () => expect((await engine.run(runId))?.state).toBe("done"), 10_000);
    expect(await engine.runs({ originName: "notes" })).toHaveLength(1);
    await engine.close();
    await pool.end();
  }, 60_000);

  test("a Redis that crashes and comes back loses no message", async () => {
    const { jobs } = await bull();
    const begun = new BegunRuns();
    const lines: string[] = [];
    await reader(begun.engine(), { ...silent, warn: (line) => void lines.push(line) });
    await jobs.add("any", { text: "before" });
    await vi.waitFor(() => expect(begun.runs.size).toBe(1), 10_000);
    await redis.crash();
    await vi.waitFor(() => expect(lines).toEqual(["the queue's connection failed"]), 20_000);
    await redis.start();
    await jobs.add("any", { text: "after" });
    await vi.waitFor(() => expect(begun.runs.size).toBe(2), 20_000);
  }, 60_000);
});
