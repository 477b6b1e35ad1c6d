// Hazard run: one seed from its databases to its verdict: outsiders start runs and meddle with them while their workers,
// their Postgres and their Redis come and go.
import { setTimeout as sleep } from "node:timers/promises";
import { Queue as BullQueue } from "bullmq";
import pg from "pg";
import { openEngine } from "../../sdk/engine/open-engine.ts";
import { startPostgres } from "../../sdk/engine/postgres.fixture.ts";
import { redisAvailable, startRedis } from "../../sdk/triggers/redis.fixture.ts";
import { seededRandom } from "../seeded-random.ts";
import { check, type Verdict } from "./checker.ts";
import { Effects } from "./effects.ts";
import { outsidersOf } from "./outsiders.ts";
import { draw, specificationOf } from "./specification.ts";
import { Supervisor } from "./supervisor.ts";
import { bullQueueName, workloadOf } from "./workload.ts";

export interface HazardRunOptions {
  readonly seed: number;
  readonly runs: number;
  /** After the last start a run must have ended in each such time, until all have, milliseconds. */
  readonly patienceMs?: number;
  /** Between two starts on the average, milliseconds. */
  readonly paceMs?: number;
  /** Ends it, and every process it started. */
  readonly signal?: AbortSignal;
}

export interface HazardReport extends Omit<Verdict, "violations"> {
  readonly seed: number;
  readonly runs: number;
  readonly allRuns: number;
  readonly kills: number;
  readonly suicides: number;
  readonly freezes: number;
  readonly restarts: number;
  readonly redisRestarts: number;
  readonly duplicates: number;
  /** Messages that were given to BullMQ, twice each. */
  readonly redisMessages: number;
  readonly reconnects: number;
  readonly seconds: number;
  readonly violations: Verdict["violations"];
}

const workers = 4;
const leaseMs = 1_000;
/** With nothing in its way a run ends in each such time, milliseconds. */
const calmMs = 60_000;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

export async function hazardRun({
  seed,
  runs,
  patienceMs = 240_000,
  paceMs = 25,
  signal,
}: HazardRunOptions): Promise<HazardReport> {
  const began = performance.now();
  const random = seededRandom(seed);
  const [postgres, world] = await Promise.all([startPostgres(), startPostgres()]);
  const redis = (await redisAvailable()) ? await startRedis() : undefined;
  const effects = new Effects(world.url);
  await effects.prepare();
  const specification = specificationOf(seed);
  const workload = workloadOf(specification, async () => {}, undefined);
  const open = () => openEngine({ databaseUrl: postgres.url, leaseMs, maxRunning: 0, log: silent });
  /** Two that act from outside and drive nothing. */
  const engines = [await open(), await open()] as const;
  const pool = new pg.Pool({ connectionString: postgres.url, max: 4 });
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  // Runs are found by their input again and again, which the engine itself never does.
  await pool.query("CREATE INDEX ON tsdev.runs ((input -> 'json' ->> 'id'))");
  const connection = { url: redis?.url ?? "", maxRetriesPerRequest: null };
  const jobs = redis ? new BullQueue(bullQueueName, { connection }) : undefined;
  jobs?.on("error", () => {});
  const env = { SEED: `${seed}`, DATABASE_URL: postgres.url, EFFECTS_URL: world.url, LEASE_MS: `${leaseMs}` };
  const supervisor = new Supervisor({ ...env, ...(redis ? { REDIS_URL: redis.url } : {}) }, seededRandom(seed + 1));

  const phase = { calming: false, allEnded: false };
  let failure: unknown;
  const failed = Promise.withResolvers<void>();
  const fail = (error: unknown) => {
    failure ??= error;
    failed.resolve();
  };
  signal?.addEventListener("abort", () => fail(signal.reason), { once: true });
  const outsiders = outsidersOf({ seed, random, specification, workload, engines, pool, jobs, phase, fail });
  const { unended, query } = outsiders;
  const counts = { restarts: 0, redisRestarts: 0 };

  try {
    supervisor.start(workers);
    const answering = outsiders.answerAll().catch(fail);
    supervisor.harass(leaseMs);
    const retrying = outsiders.retryFailed().catch(fail);
    const playing: Promise<void>[] = [];
    const following: Promise<void>[] = [];
    /** One after the other, however slow the machine is. */
    let crashing: Promise<void> = Promise.resolve();
    /** Crashes happen when so many runs have begun. */
    const crashes = new Map([
      [Math.floor(runs * (0.2 + random() * 0.2)), "postgres"],
      [Math.floor(runs * (0.5 + random() * 0.1)), "redis"],
      [Math.floor(runs * (0.7 + random() * 0.2)), "postgres"],
    ]);
    for (let index = 0; index < runs && !failure; index++) {
      playing.push(outsiders.play(index).catch(fail));
      if (draw(seed, `follow ${index}`) < 0.08) following.push(outsiders.follow(`s${seed}-${index}`).catch(fail));
      await sleep(random() * 2 * paceMs);
      const crash = crashes.get(index);
      if (crash === "postgres") {
        counts.restarts++;
        crashing = crashing.then(() => postgres.crashAndRestart()).catch(fail);
      } else if (crash === "redis" && redis) {
        counts.redisRestarts++;
        crashing = crashing.then(() => redis.crashAndRestart()).catch(fail);
      }
    }
    await crashing;
    await Promise.race([Promise.all(playing), failed.promise, sleep(patienceMs, undefined, { ref: false })]);
    let deadline = performance.now() + patienceMs;
    // Paused again by an act that came after its resume, or by a crash between the two.
    while (unended.size > 0 && performance.now() < deadline && !failure) {
      const before = unended.size;
      const { rows } = await query(
        "SELECT input -> 'json' ->> 'id' AS id, id AS run_id, state FROM tsdev.runs WHERE parent IS NULL AND state IN ('done', 'failed', 'canceled', 'paused')",
      );
      for (const { id, run_id: runId, state } of rows) {
        if (state === "paused") await outsiders.resume(runId);
        else unended.delete(id);
      }
      if (unended.size < before) deadline = performance.now() + patienceMs;
      await sleep(200);
    }
    if (failure) throw failure;
    phase.calming = true;
    await retrying;
    // The crons go on for ever; without them the rest comes to its end with nobody in its way.
    await supervisor.calm(workers);
    let left: { id: string; state: string }[] = [];
    let calmUntil = performance.now() + calmMs;
    do {
      await sleep(200);
      const before = left.length;
      left = (await query("SELECT id, state FROM tsdev.runs WHERE finished_at IS NULL")).rows;
      for (const { id, state } of left) if (state === "paused") await outsiders.resume(id);
      if (left.length < before) calmUntil = performance.now() + calmMs;
    } while (left.length > 0 && performance.now() < calmUntil && !failure);
    phase.allEnded = true;
    await Promise.all([answering, ...following]);
    await supervisor.end();
    if (failure) throw failure;
    const outages = [...(await effects.outages()), ...supervisor.frozen];
    const verdict = await check(pool, specification, outsiders.acts, await effects.all(), outages);
    const { kills, suicides, frozen } = supervisor;
    return {
      seed,
      runs,
      allRuns: Object.values(verdict.states).reduce((sum, count) => sum + count, 0),
      kills,
      suicides,
      freezes: frozen.length,
      ...counts,
      ...outsiders.counts,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      ...verdict,
    };
  } finally {
    phase.allEnded = true;
    await supervisor.end();
    await jobs?.close().catch(() => {});
    await Promise.all(engines.map((engine) => engine.close().catch(() => {})));
    await Promise.all([pool.end(), effects.close()]);
    await Promise.all([postgres.stop(), world.stop(), redis?.[Symbol.asyncDispose]()]);
  }
}
