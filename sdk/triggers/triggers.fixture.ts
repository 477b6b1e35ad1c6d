// Fixture: a process that fires a cron or reads a queue of BullMQ, to be killed by tests.
// Arguments: cron SPEED | queue REDIS_URL. HANG=1: it never comes back from the start of a run, so that no job is done.

import pg from "pg";
import { z } from "zod";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { bullmq } from "./bullmq.ts";
import { cron } from "./cron.ts";
import { queue } from "./queue.ts";
import { startTriggers } from "./start-triggers.ts";

const note = procedure({
  name: "note",
  input: z.object({ text: z.string() }),
  output: z.object({ noted: z.boolean() }),
  handler: () => ({ noted: true }),
});
const noting = workflow("noting")
  .input(z.object({ text: z.string() }))
  .step(note);

export const everyMinute = cron({
  name: "every-minute",
  schedule: "* * * * *",
  missed: "all",
  workflow: noting,
  input: (at) => ({ text: at.toISOString() }),
});

/** How long a job stays with a process that was killed, milliseconds. */
export const lockMs = 600;
export const notes = (url: string) =>
  queue({
    name: "notes",
    message: z.object({ text: z.string() }),
    workflow: noting,
    input: ({ text }) => ({ text }),
    from: bullmq({ queue: "notes", connection: () => ({ url }), lockMs }),
  });

/**
 * A real engine whose clock runs `speed` times as fast as its database's, from the first call on. Each start of a trigger's
 * run leaves a row in `starts`, with what that clock said.
 */
export async function fastEngine(url: string, speed: number): Promise<{ engine: Engine; pool: pg.Pool }> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on("error", () => {});
  await pool.query(`SELECT pg_advisory_lock(1);
    CREATE TABLE IF NOT EXISTS starts (run_id text NOT NULL, at timestamptz NOT NULL);
    CREATE TABLE IF NOT EXISTS clock (began timestamptz NOT NULL);
    INSERT INTO clock SELECT clock_timestamp() WHERE NOT EXISTS (SELECT FROM clock);
    SELECT pg_advisory_unlock(1);`);
  const now = `(SELECT began + (clock_timestamp() - began) * ${speed} FROM clock)`;
  const engine = await openEngine({ databaseUrl: url, leaseMs: 1_000, log: silent });
  const start = engine.start.bind(engine);
  engine.now = async () => (await pool.query(`SELECT ${now} AS now`)).rows[0].now;
  engine.start = async (workflow, input, options) => {
    const began = await start(workflow, input, options);
    await pool.query(`INSERT INTO starts VALUES ($1, ${now})`, [began.runId]);
    return began;
  };
  // Runs whose process is killed are carried on; the triggers are started apart, with a wait that fits the clock.
  await engine.work(createRegistry([noting]));
  return { engine, pool };
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

if (import.meta.main) {
  const [what = "", argument = ""] = process.argv.slice(2);
  const speed = what === "cron" ? Number(argument) : 1;
  const { engine } = await fastEngine(process.env.DATABASE_URL!, speed);
  const start = engine.start;
  if (process.env.HANG === "1") {
    engine.start = async (...parts) => {
      await start(...parts);
      process.send?.("begun");
      return new Promise(() => {});
    };
  }
  const trigger = what === "cron" ? everyMinute : notes(argument);
  const sleep = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms / speed));
  await startTriggers(engine, createRegistry([trigger]), { log: silent, sleep });
  process.send?.("ready");
}
