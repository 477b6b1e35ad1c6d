// Crons of several processes on one Postgres: one is killed, and each scheduled time is still one run.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { fastEngine } from "./triggers.fixture.ts";

let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres.stop());

/** A minute of the engines' clock passes in 100 ms. */
const speed = 600;

async function startScheduler(url: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("triggers.fixture.ts", import.meta.url)), ["cron", `${speed}`], {
    env: { ...process.env, DATABASE_URL: url },
    silent: true,
  });
  await once(child, "message");
  return child;
}

test("two schedulers of which one is killed, and one that comes later, fire each minute once and none early", async () => {
  const url = await postgres.database();
  const { engine, pool } = await fastEngine(url, speed);
  const begun = async () =>
    (await pool.query("SELECT run_id, min(at) AS at FROM starts GROUP BY run_id ORDER BY run_id")).rows as {
      run_id: string;
      at: Date;
    }[];
  const more = async (count: number) => {
    const before = (await begun()).length;
    await vi.waitFor(async () => expect((await begun()).length).toBeGreaterThanOrEqual(before + count), 20_000);
  };
  const children = [await startScheduler(url), await startScheduler(url)];
  try {
    await more(10);
    children[0]!.kill("SIGKILL");
    await more(10);
    children.push(await startScheduler(url));
    await more(5);
    children[1]!.kill("SIGKILL");
    await more(10);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
  const runs = await begun();
  const times = runs.map(({ run_id }) => Date.parse(run_id.replace("cron:every-minute:", "")));
  const first = times[0]!;
  expect(times).toEqual(times.map((_, index) => first + index * 60_000));
  for (const [index, { at }] of runs.entries()) expect(at.getTime()).toBeGreaterThanOrEqual(times[index]!);
  // Also those whose process was killed came to their end.
  const all = () => engine.runs({ originName: "every-minute", limit: 500 });
  await vi.waitFor(async () => expect((await all()).every(({ state }) => state === "done")).toBe(true), 10_000);
  expect((await all()).map(({ runId }) => runId).sort()).toEqual(runs.map(({ run_id }) => run_id));
  await engine.close();
  await pool.end();
}, 60_000);
