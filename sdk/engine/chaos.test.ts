// Runs of every kind under workers that are killed at random, a database that crashes, clocks that are wrong, and acts
// that come twice: every run ends as its policies say. CHAOS_SEEDS and CHAOS_RUNS make it longer; a failure names its seed.
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { expect, test } from "vitest";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { startPostgres } from "./postgres.fixture.ts";
import { paid, workflows } from "./wait-worker.fixture.ts";

const seeds = Number(process.env.CHAOS_SEEDS ?? 1);
const runs = Number(process.env.CHAOS_RUNS ?? 100);
const workerCount = 4;
const dayMs = 86_400_000;
const names = [
  "sleeps",
  "naps",
  "pays",
  "asks",
  "calls",
  "undoes",
  "once",
  "lists",
  "backsOff",
  "backsOffBeside",
] as const;

/** A linear congruential generator (Numerical Recipes): the same seed, the same decisions. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test.each(Array.from({ length: seeds }, (_none, index) => index + 1))(
  "seed %i",
  { timeout: 120_000 + runs * 500 },
  async (seed) => {
    const random = randomOf(seed);
    const postgres = await startPostgres();
    const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
    pool.on("error", () => {});
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    /** Acts from outside, and works for nobody. */
    const outside = await openEngine({ databaseUrl: postgres.url, log: silent });
    const workers = new Set<ChildProcess>();
    const spawn = () => {
      const clock = { CLOCK_AHEAD_MS: String(Math.round((random() - 0.5) * dayMs)) };
      const child = fork(fileURLToPath(new URL("./wait-worker.fixture.ts", import.meta.url)), ["work"], {
        env: { ...process.env, DATABASE_URL: postgres.url, ...clock },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      workers.add(child);
      child.once("exit", () => workers.delete(child));
    };
    try {
      await pool.query("CREATE TABLE effects (run_id text, node text, key text, pid int)");
      const store = await PostgresStore.open({ databaseUrl: postgres.url, leaseMs: 1_000, connections: 1 });
      for (let index = 0; index < runs; index++)
        await beginTwice(store, names[Math.floor(random() * names.length)]!, index, random);
      await store.close();
      let crashes = 0;
      for (;;) {
        while (workers.size < workerCount) spawn();
        await sleep(100 + random() * 400);
        const { rows } = await pool
          .query<{ id: string; state: string }>(
            "SELECT id, state FROM tsdev.runs WHERE finished_at IS NULL ORDER BY id",
          )
          .catch(() => ({ rows: undefined }));
        if (!rows) continue;
        if (rows.length === 0) break;
        for (const run of rows) if (random() < 0.3) await Promise.all([act(outside, run), act(outside, run)]);
        const dice = random();
        if (dice < 0.5) [...workers][Math.floor(random() * workers.size)]?.kill("SIGKILL");
        else if (dice > 0.92 && crashes++ < 3) await postgres.crashAndRestart();
      }
      await check(pool);
    } finally {
      for (const worker of workers) worker.kill("SIGKILL");
      await outside.close();
      await pool.end();
      await postgres.stop();
    }
  },
);

/** Without an engine, which would work too. */
async function beginTwice(store: PostgresStore, name: (typeof names)[number], index: number, random: () => number) {
  const { name: workflow, version, ir } = workflows[name];
  const id = `${name}-${index}`;
  const run = { id, workflow, version, ir, input: { id }, scope: { id }, inputDigest: "", traceparent: null };
  const more = { origin: { kind: "direct" }, principal: null, slotKey: null, parent: null } as const;
  const options = { take: false, delayMs: random() * runs * 40 };
  await Promise.all([1, 2].map(() => store.begin({ ...run, ...more }, options)));
}

async function act(engine: Engine, { id, state }: { id: string; state: string }): Promise<void> {
  try {
    if (id.startsWith("pays")) await engine.publish(paid, { orderId: id, amount: 1 }, { id: `payment of ${id}` });
    if ((id.startsWith("asks") || id.endsWith("/child")) && state === "waiting") {
      await engine.approve(id, "ask", { approved: true, by: "ada" });
    }
    if (state === "paused") await engine.resume(id);
    else if (id.startsWith("naps") && state === "running") await engine.pause(id);
    // Also between two attempts.
    else if (id.startsWith("backsOff-") && Number(id.slice(9)) % 3 === 0) await engine.pause(id);
  } catch (error) {
    // Somebody was quicker, or the database is away.
    expect((error as { code?: string }).code).not.toBe("not_found");
  }
}

async function check(pool: pg.Pool): Promise<void> {
  const rowsOf = async (text: string) => (await pool.query(text)).rows;
  const ends = await rowsOf(
    "SELECT workflow, state, error ->> 'code' AS code, count(*)::int FROM tsdev.runs GROUP BY 1, 2, 3",
  );
  const wrong = ends.filter(({ workflow, state, code }) => {
    if (workflow === "undoes") return code !== "step_failed";
    return state !== "done" && !(workflow === "once" && code === "interrupted");
  });
  expect(wrong).toEqual([]);
  expect(await rowsOf("SELECT id FROM tsdev.runs WHERE error ->> 'message' LIKE '%not undone%'")).toEqual([]);
  expect(await rowsOf("SELECT run_id FROM tsdev.journal GROUP BY 1 HAVING count(*) <> max(seq)")).toEqual([]);
  const once = "('step.finished', 'step.compensated', 'event.received', 'approval.answered', 'child.started')";
  expect(
    await rowsOf(
      `SELECT run_id, node, type FROM tsdev.journal WHERE type IN ${once} GROUP BY 1, 2, 3 HAVING count(*) > 1`,
    ),
  ).toEqual([]);
  expect(await rowsOf("SELECT run_id, node FROM effects GROUP BY 1, 2 HAVING count(DISTINCT key) > 1")).toEqual([]);
  expect(await rowsOf("SELECT run_id FROM effects WHERE node = 'onlyOnce' GROUP BY 1 HAVING count(*) > 1")).toEqual([]);
  // Attempts are counted on over every takeover, and none is made before its time. A clock may be some milliseconds off.
  const failures = "SELECT *, (data ->> 'attempt')::int AS attempt FROM tsdev.journal WHERE type = 'attempt.failed'";
  const flaky = `SELECT * FROM (${failures}) a WHERE node = 'flaky'`;
  expect(
    await rowsOf(
      `SELECT run_id, node FROM (${failures}) a GROUP BY 1, 2
       HAVING count(*) <> max(attempt) OR count(DISTINCT attempt) <> count(*) OR (node = 'flaky' AND count(*) < 2)`,
    ),
  ).toEqual([]);
  expect(
    await rowsOf(
      `SELECT a.run_id, a.attempt FROM (${flaky}) a JOIN (${flaky}) b ON b.run_id = a.run_id AND b.attempt = a.attempt + 1
        WHERE b.at < (a.data ->> 'nextAt')::timestamptz - interval '20 ms'`,
    ),
  ).toEqual([]);
  // A step runs once more at most for each time its run was taken over, or its attempt failed.
  const again =
    "SELECT count(*) FROM tsdev.journal j WHERE j.run_id = e.run_id AND j.type IN ('run.resumed', 'attempt.failed')";
  expect(await rowsOf(`SELECT run_id, node FROM effects e GROUP BY 1, 2 HAVING count(*) > 1 + (${again})`)).toEqual([]);
  const undone = await rowsOf(
    "SELECT count(DISTINCT (run_id, node))::int AS count FROM effects WHERE node LIKE '% undo%'",
  );
  const failed = ends.find(({ workflow }) => workflow === "undoes")?.count ?? 0;
  expect(undone[0].count).toBe(2 * failed);
}
