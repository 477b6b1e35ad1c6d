// Fixture: a worker process whose workflows wait, call and undo, to be killed by tests. Every step leaves a row.
// Arguments: start WORKFLOW RUN_ID… | work. HANG_AT: the step that never ends. CRASH_AT: the step that ends the process.
// CLOCK_AHEAD_MS: how wrong its clock is.
import pg from "pg";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { openEngine } from "./open-engine.ts";

const databaseUrl = process.env.DATABASE_URL!;
const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
pool.on("error", () => {});
const Id = z.object({ id: z.string() });

interface More {
  readonly idempotent?: boolean;
  readonly retryMs?: number;
  /** So many attempts fail. */
  readonly fails?: number;
}

function effect<const N extends string>(name: N, { idempotent, retryMs, fails = 0 }: More = {}) {
  // For a database that restarts.
  const waits =
    retryMs === undefined ? { initialMs: 50, maxMs: 500 } : { backoff: "fixed" as const, initialMs: retryMs };
  return procedure({
    name,
    input: Id,
    output: z.object({ [name]: z.boolean() } as Record<N, z.ZodBoolean>),
    policies: { retry: { maxAttempts: 20, ...waits } },
    ...(idempotent === undefined ? {} : { idempotent }),
    handler: async (_input, ctx) => {
      const place = ctx.node === name || ctx.node?.endsWith(`/${name}`) ? ctx.node : `${ctx.node} ${name}`;
      await pool
        .query("INSERT INTO effects (run_id, node, key, pid) VALUES ($1, $2, $3, $4)", [
          ctx.runId,
          place,
          ctx.idempotencyKey,
          process.pid,
        ])
        // `pg` gives some lost connections no code.
        .catch((cause) =>
          Promise.reject(Object.assign(new Error("the database is away", { cause }), { retryable: true })),
        );
      if (process.env.CRASH_AT === name) process.kill(process.pid, "SIGKILL");
      if (process.env.HANG_AT === name) await new Promise(() => {});
      if (ctx.attempt <= fails) throw Object.assign(new Error("busy"), { retryable: true });
      if (name === "fail") throw new Error("no stock");
      return { [name]: true } as never;
    },
  });
}

export const paid = event({
  name: "paid",
  payload: z.object({ orderId: z.string(), amount: z.number() }),
  key: ({ orderId }) => orderId,
});

const before = effect("before");
const after = effect("after");
const undoFirst = effect("undoFirst");
const onlyOnce = effect("onlyOnce", { idempotent: false });
/** Long enough that the run is put down in between. */
const flaky = effect("flaky", { retryMs: 2_000, fails: 2 });
const child = workflow("child").input(Id).step(effect("inside")).approve("ask");

export const workflows = {
  sleeps: workflow("sleeps").input(Id).step(before).sleep("long", { ms: 1_500 }).step(after),
  naps: workflow("naps").input(Id).step(before).sleep("short", { ms: 900 }).step(after),
  pays: workflow("pays")
    .input(Id)
    .step(before)
    .waitFor("payment", paid, { key: ({ id }) => id })
    .step(after),
  asks: workflow("asks").input(Id).step(before).approve("ask").step(after),
  calls: workflow("calls").input(Id).step(before).call(child).step(after),
  undoes: workflow("undoes")
    .input(Id)
    .step(before)
    .compensate(undoFirst, { with: ({ id }) => ({ id }) })
    .step(effect("middle"))
    .compensate(effect("undoSecond"), { with: ({ id }) => ({ id }) })
    .step(effect("fail")),
  once: workflow("once").input(Id).step(before).step(onlyOnce).step(after),
  onceUndoes: workflow("once-undoes")
    .input(Id)
    .step(before)
    .compensate(undoFirst, { with: ({ id }) => ({ id }) })
    .step(onlyOnce),
  backsOff: workflow("backs-off").input(Id).step(before).step(flaky).step(after),
  backsOffBeside: workflow("backs-off-beside")
    .input(Id)
    .step(before)
    .parallel([flaky, effect("beside")])
    .step(after),
  backsOffShortly: workflow("backs-off-shortly")
    .input(Id)
    .step(before)
    .step(effect("busy", { retryMs: 600, fails: 2 }))
    .step(after),
  poison: workflow("poison").input(Id).step(before).step(effect("crash")),
  lists: workflow("lists")
    .input(Id)
    .each(
      "items",
      () => Array.from({ length: 12 }, (_none, index) => index),
      (item) => item.step(before).sleep("nap", { ms: 20 }).step(after),
      { concurrency: 4 },
    ),
};
export type WorkflowName = keyof typeof workflows;

if (import.meta.main) {
  const aheadMs = Number(process.env.CLOCK_AHEAD_MS ?? 0);
  const realNow = Date.now;
  if (aheadMs !== 0) Date.now = () => realNow() + aheadMs;
  const engine = await openEngine({ databaseUrl, leaseMs: 400, log: { debug() {}, info() {}, warn() {}, error() {} } });
  const [command, name, ...runIds] = process.argv.slice(2);
  if (command === "start") {
    const chosen = workflows[name as WorkflowName];
    for (const runId of runIds) await engine.start(chosen, { id: runId }, { runId });
  } else await engine.work(createRegistry(Object.values(workflows)));
  process.send?.("ready");
  // Lives until it is killed.
  setInterval(() => {}, 60_000);
}
