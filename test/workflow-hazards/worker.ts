// Worker: a process that carries on the runs of a workload until it is killed, now and then by itself right after an effect.
import { openEngine } from "../../sdk/engine/open-engine.ts";
import { Effects, steadyNow } from "./effects.ts";
import { specificationOf } from "./specification.ts";
import { workloadOf } from "./workload.ts";

const { SEED, DATABASE_URL, EFFECTS_URL, REDIS_URL, WORKER, LEASE_MS, SUICIDES, CRON } = process.env;
const worker = WORKER!;
// Nobody is left to kill it.
process.on("disconnect", () => process.exit());
const effects = new Effects(EFFECTS_URL!);
const suicides = Number(SUICIDES);

/** A worker that looks at the time so often sees by itself that it was frozen, milliseconds. */
const lookMs = 20;
const outageMs = 100;
let seen = steadyNow();
setInterval(() => {
  const now = steadyNow();
  if (now - seen > outageMs) effects.note({ worker, from: seen, to: now }).catch(() => {});
  seen = now;
}, lookMs);

const { registry } = workloadOf(
  specificationOf(Number(SEED)),
  async (effect) => {
    await effects.leave(worker, effect);
    // The effect is there, and nothing of it in the journal.
    if (Math.random() < suicides) process.kill(process.pid, "SIGKILL");
  },
  REDIS_URL,
);
const log = { debug() {}, info() {}, warn() {}, error() {} };
const engine = await openEngine({ databaseUrl: DATABASE_URL!, leaseMs: Number(LEASE_MS), maxRunning: 60, log });
await engine.work(registry({ cron: CRON === "1" }));
process.send?.("ready");
