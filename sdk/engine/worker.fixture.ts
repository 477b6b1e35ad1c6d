// Fixture: a worker process that runs a workflow whose steps leave a row each time they run, to be killed by tests.
// Arguments: start RUN_ID | resume. HANG_AT: the step that never ends.
import pg from "pg";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { openEngine } from "./open-engine.ts";

const databaseUrl = process.env.DATABASE_URL!;
const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });

/** Notes that it runs, and whether its output was stored already: then it must not have run. */
const effect = <const N extends string>(name: N) =>
  procedure({
    name,
    input: z.object({ id: z.string() }),
    output: z.object({ [name]: z.date() } as Record<N, z.ZodDate>),
    handler: async (_input, ctx) => {
      await pool.query(
        `INSERT INTO effects (run_id, node, key, pid, finished_before)
         SELECT $1, $2, $3, $4, EXISTS (SELECT FROM tsdev.journal WHERE run_id = $1 AND node = $2 AND type = 'step.finished')`,
        [ctx.runId, ctx.node, ctx.idempotencyKey, process.pid],
      );
      if (process.env.HANG_AT === name) await new Promise(() => {});
      return { [name]: new Date(0) } as never;
    },
  });

export const killable = workflow("killable")
  .input(z.object({ id: z.string() }))
  .step(effect("one"))
  .step(effect("two"))
  .parallel([effect("left"), effect("right")])
  .step(effect("three"))
  .run("check", async (scope) => {
    // A value that came back from a row is what it was before.
    if (!(scope.one instanceof Date && scope.left instanceof Date))
      throw new Error("a date came back as something else");
    return { checked: true };
  });

if (import.meta.main) {
  const engine = await openEngine({ databaseUrl, leaseMs: 400 });
  const [command, ...runIds] = process.argv.slice(2);
  if (command === "start") {
    for (const runId of runIds) await engine.start(killable, { id: runId }, { runId });
  } else {
    await engine.work(createRegistry([killable]));
  }
  process.send?.("ready");
  // Lives until it is killed.
  setInterval(() => {}, 60_000);
}
