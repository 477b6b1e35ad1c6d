// Fixture: a process that fires a cron or reads a queue of BullMQ, to be killed by tests.
// Arguments: cron SPEED | queue REDIS_URL. HANG=1: it never comes back from the start of a run, so that no job is done.

import { z } from "zod";
import { createLog } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { begunRunsOn } from "./begun-runs.fixture.ts";
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

if (import.meta.main) {
  const [what = "", argument = ""] = process.argv.slice(2);
  const speed = what === "cron" ? Number(argument) : 1;
  const { engine } = await begunRunsOn(process.env.DATABASE_URL!, speed);
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
  await startTriggers(engine, createRegistry([trigger]), { log: createLog(), sleep });
  process.send?.("ready");
  setInterval(() => {}, 60_000);
}
