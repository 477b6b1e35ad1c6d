// Hazard run: one seed from its databases to its verdict: runs are started, answered, told, paused, canceled, retried and
// followed from outside, while their workers, their Postgres and their Redis come and go.
import { setTimeout as sleep } from "node:timers/promises";
import { Queue as BullQueue } from "bullmq";
import pg from "pg";
import type { Engine } from "../../sdk/engine/engine.ts";
import { openEngine } from "../../sdk/engine/open-engine.ts";
import { startPostgres } from "../../sdk/engine/postgres.fixture.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { isTransient } from "../../sdk/policies/transient.ts";
import { enqueue } from "../../sdk/triggers/enqueue.ts";
import { redisAvailable, startRedis } from "../../sdk/triggers/redis.fixture.ts";
import { seededRandom } from "../seeded-random.ts";
import type { Acts } from "./check-acts.ts";
import { check, type Verdict } from "./checker.ts";
import { Effects, steadyNow } from "./effects.ts";
import { draw, nodesOf, specificationOf } from "./specification.ts";
import { Supervisor } from "./supervisor.ts";
import { bullQueueName, type Input, told, workloadOf } from "./workload.ts";

export interface HazardRunOptions {
  readonly seed: number;
  readonly runs: number;
  /** After the last start a run must have ended in each such time, until all have, milliseconds. */
  readonly patienceMs?: number;
  /** Between two starts on the average, milliseconds. */
  readonly paceMs?: number;
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
}: HazardRunOptions): Promise<HazardReport> {
  const began = performance.now();
  const random = seededRandom(seed);
  const [postgres, world] = await Promise.all([startPostgres(), startPostgres()]);
  const redis = (await redisAvailable()) ? await startRedis() : undefined;
  const effects = new Effects(world.url);
  await effects.prepare();
  const specification = specificationOf(seed);
  const specs = new Map([...specification.workflows, ...specification.children].map((one) => [one.name, one]));
  const { workflows, own } = workloadOf(specification, async () => {}, undefined);
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

  const started = new Set<string>();
  const delays = new Map<string, number>();
  const published = new Map<string, number>();
  const approvals: { runId: string; node: string; by: string; given: "yes" | "no" | "unknown" }[] = [];
  const followed = new Map<string, number[]>();
  const counts = { restarts: 0, redisRestarts: 0, redisMessages: 0, duplicates: 0, reconnects: 0 };
  const unended = new Set<string>();
  /** What happens from outside is over. */
  let calming = false;
  let allEnded = false;
  const pick = () => engines[Math.floor(random() * 2)]!;

  /** Runs to begin, the ways they begin, and what happens to each from outside. */
  async function play(index: number): Promise<void> {
    const id = `s${seed}-${index}`;
    const input: Input = { id, seed: seed * 100_000 + index, tenant: `t${index % 5}` };
    const dice = (what: string) => draw(input.seed, what);
    const way = dice("way");
    let spec = specification.workflows[Math.floor(dice("workflow") * specification.workflows.length)]!;
    started.add(id);
    unended.add(id);
    if (way < 0.1 || (way < 0.2 && jobs)) {
      spec = specification.workflows[0]!;
      counts.duplicates++;
      if (way < 0.1) await twice(() => insist(() => enqueue(pick(), own, input as never, { id })));
      // BullMQ itself knows the second as the first while it is there; a job whose worker dies comes again.
      else {
        counts.redisMessages++;
        await twice(() => jobs!.add(bullQueueName, input, { jobId: id, attempts: 3 }));
      }
    } else {
      const flow = workflows.get(spec.name)! as never;
      const delayMs = way < 0.35 ? Math.round(dice("delay") * 2_500) : 0;
      if (delayMs > 0) delays.set(id, delayMs);
      const start = (engine: Engine) => insist(() => engine.start(flow, input as never, { runId: id, delayMs }));
      // Two schedulers, one time.
      if (way > 0.8) {
        counts.duplicates++;
        await Promise.all(engines.map(start));
      } else await start(pick());
    }
    // An event counts for runs that had begun; a job of BullMQ begins its run when a worker comes to it.
    while (!(await rootOf(id))) await sleep(100);
    await Promise.all([
      ...nodesOf(spec.nodes).map((node) =>
        node.op === "waitFor" ? tell(id, node.id, node.onTimeout !== undefined, input) : undefined,
      ),
      meddle(id, dice),
    ]);
  }

  async function twice(act: () => Promise<unknown>): Promise<void> {
    await Promise.all([act(), act()]);
  }

  async function tell(id: string, node: string, timesOut: boolean, input: Input): Promise<void> {
    const key = `${id}:${node}`;
    const dice = draw(input.seed, `${node} told`);
    if (timesOut && dice < 0.3) return;
    if (dice > 0.5) await sleep(draw(input.seed, `${node} late`) * 3_000);
    const publish = () => insist(() => pick().publish(told, { key, n: Math.floor(dice * 1_000) }, { id: key }));
    if (dice > 0.7) {
      counts.duplicates++;
      await Promise.all([publish(), publish(), sleep(draw(input.seed, `${node} again`) * 1_000).then(publish)]);
    } else await publish();
    published.set(key, steadyNow());
  }

  /** Cancels, pauses and resumes, retries: whatever fits, at any moment. */
  async function meddle(id: string, dice: (what: string) => number): Promise<void> {
    const what = dice("meddle");
    if (what > 0.2) return;
    await sleep(dice("meddle at") * 2_500);
    const runId = await rootOf(id);
    if (!runId) return;
    const engine = pick();
    const act = (fn: () => Promise<unknown>) => insist(fn).catch(expectRefusal);
    if (what < 0.06) await act(() => engine.cancel(runId));
    else if (what < 0.14) {
      await act(() => engine.pause(runId));
      await sleep(dice("pause") * 1_500);
      await act(() => engine.resume(runId));
    } else {
      await act(() => engine.cancel(runId, { reason: "to be retried" }));
      await sleep(dice("retry") * 1_500);
      await act(() => engine.retry(runId));
    }
  }

  async function rootOf(id: string): Promise<string | undefined> {
    const { rows } = await query("SELECT id FROM tsdev.runs WHERE input -> 'json' ->> 'id' = $1 AND parent IS NULL", [
      id,
    ]);
    return rows[0]?.id;
  }

  // biome-ignore lint/suspicious/noExplicitAny: rows of any statement
  function query(text: string, values: unknown[] = []): Promise<{ rows: any[] }> {
    return insist(() => pool.query(text, values));
  }

  /** Answers whatever is asked, by two people at once. */
  async function answerAll(): Promise<void> {
    const seen = new Map<string, number>();
    while (!allEnded) {
      const { rows } = await query(
        `SELECT w.run_id, w.node, r.input -> 'json' ->> 'seed' AS seed, r.ir::text AS ir FROM tsdev.waits w
           JOIN tsdev.runs r ON r.id = w.run_id WHERE w.kind = 'approval'`,
      );
      for (const { run_id: runId, node, seed: own, ir } of rows) {
        const key = `${runId} ${node}`;
        const last = seen.get(key);
        // Asked for long: it was asked again, after a retry.
        if (last !== undefined && performance.now() - last < 4_000) continue;
        const dice = draw(Number(own), `${node} answer`);
        const timesOut = ir.includes(`"id":"${node}"`) && new RegExp(`"id":"${node}"[^}]*timeoutMs`).test(ir);
        seen.set(key, performance.now());
        if (last === undefined && timesOut && dice < 0.3) continue;
        void answer(runId, node, dice).catch(fail);
      }
      await sleep(150);
    }
  }

  async function answer(runId: string, node: string, dice: number): Promise<void> {
    await sleep(dice * 300);
    const give = async (engine: Engine, approved: boolean, by: string) => {
      const one = { runId, node, by, given: "unknown" as "yes" | "no" | "unknown" };
      approvals.push(one);
      let tries = 0;
      try {
        await insist(() => {
          tries++;
          return engine.approve(runId, node, { approved, by });
        });
        one.given = "yes";
      } catch (error) {
        expectRefusal(error);
        // One that was refused at the second try may have been taken at the first.
        if (tries === 1) one.given = "no";
      }
    };
    counts.duplicates++;
    const [one, other] = engines;
    if (dice < 0.55) await Promise.all([give(one, true, "ada"), give(other, false, "bob")]);
    else if (dice < 0.8) await Promise.all([give(one, true, "ada"), give(other, true, "ada")]);
    else await give(pick(), false, "bob");
  }

  /** Follows a run's events with a connection that breaks again and again. */
  async function follow(id: string): Promise<void> {
    const seen: number[] = [];
    while (!(await rootOf(id))) {
      if (allEnded) return;
      await sleep(100);
    }
    const runId = (await rootOf(id))!;
    followed.set(runId, seen);
    for (let last = false; ; ) {
      last = allEnded;
      const broken = new AbortController();
      const events = 1 + Math.floor(random() * 6);
      let count = 0;
      try {
        for await (const { seq } of pick().events(runId, { after: seen.at(-1) ?? 0, signal: broken.signal })) {
          seen.push(seq);
          // What comes after this one before the reader is gone is read again by the next.
          if (!last && ++count === events) {
            broken.abort();
            break;
          }
        }
      } catch (error) {
        if (!isAway(error)) throw error;
      }
      counts.reconnects++;
      if (last) return;
      if (count < events) await sleep(500);
    }
  }

  /** Now and then a failed run is retried by somebody. */
  async function retryFailed(): Promise<void> {
    const seen = new Set<string>();
    while (!calming && !allEnded) {
      const { rows } = await query("SELECT id, workflow FROM tsdev.runs WHERE state = 'failed' AND parent IS NULL");
      for (const { id, workflow } of rows) {
        if (seen.has(id)) continue;
        seen.add(id);
        const dice = draw(seed, `${id} retry`);
        if (dice > 0.5) continue;
        // From what failed, or from any node that is in no other one, done or not.
        const tops = specs.get(workflow)!.nodes.flatMap((node) => ("id" in node ? [node.id] : []));
        const from = dice < 0.3 ? undefined : tops[Math.floor(draw(seed, `${id} from`) * tops.length)];
        await insist(() => pick().retry(id, from === undefined ? {} : { from })).catch(expectRefusal);
      }
      await sleep(300);
    }
  }

  let failure: unknown;
  function fail(error: unknown): void {
    failure ??= error;
  }

  const violations: Verdict["violations"][number][] = [];
  try {
    supervisor.start(workers);
    const answering = answerAll().catch(fail);
    supervisor.harass(leaseMs);
    const retrying = retryFailed().catch(fail);
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
    for (let index = 0; index < runs; index++) {
      playing.push(play(index).catch(fail));
      if (draw(seed, `follow ${index}`) < 0.08) following.push(follow(`s${seed}-${index}`).catch(fail));
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
    await Promise.race([Promise.all(playing), sleep(patienceMs, undefined, { ref: false })]);
    let deadline = performance.now() + patienceMs;
    // Paused again by an act that came after its resume, or by a crash between the two.
    while (unended.size > 0 && performance.now() < deadline && !failure) {
      const before = unended.size;
      const { rows } = await query(
        "SELECT input -> 'json' ->> 'id' AS id, id AS run_id, state FROM tsdev.runs WHERE parent IS NULL AND state IN ('done', 'failed', 'canceled', 'paused')",
      );
      for (const { id, run_id: runId, state } of rows) {
        if (state === "paused") await insist(() => pick().resume(runId)).catch(expectRefusal);
        else unended.delete(id);
      }
      if (unended.size < before) deadline = performance.now() + patienceMs;
      await sleep(200);
    }
    calming = true;
    await retrying;
    // The crons go on for ever; without them the rest comes to its end with nobody in its way.
    await supervisor.calm(workers);
    let left: { id: string; state: string }[] = [];
    let calmUntil = performance.now() + calmMs;
    do {
      await sleep(200);
      const before = left.length;
      left = (await query("SELECT id, state FROM tsdev.runs WHERE finished_at IS NULL")).rows;
      for (const { id, state } of left)
        if (state === "paused") await insist(() => pick().resume(id)).catch(expectRefusal);
      if (left.length < before) calmUntil = performance.now() + calmMs;
    } while (left.length > 0 && performance.now() < calmUntil && !failure);
    allEnded = true;
    await Promise.all([answering, ...following]);
    await supervisor.end();
    if (failure) throw failure;
    const acts: Acts = { started, delays, approvals, published, followed };
    const outages = [...(await effects.outages()), ...supervisor.frozen];
    const verdict = await check(pool, specification, acts, await effects.all(), outages);
    violations.push(...verdict.violations);
    const { kills, suicides, frozen } = supervisor;
    return {
      seed,
      runs,
      allRuns: Object.values(verdict.states).reduce((sum, count) => sum + count, 0),
      kills,
      suicides,
      freezes: frozen.length,
      ...counts,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      ...verdict,
      violations,
    };
  } finally {
    allEnded = true;
    await supervisor.end();
    await jobs?.close().catch(() => {});
    await Promise.all(engines.map((engine) => engine.close().catch(() => {})));
    await Promise.all([pool.end(), effects.close()]);
    await Promise.all([postgres.stop(), world.stop(), redis?.[Symbol.asyncDispose]()]);
  }
}

/** Again and again while the database is away. */
async function insist<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (!isAway(error) || tries > 200) throw error;
      await sleep(100);
    }
  }
}

function isAway(error: unknown): boolean {
  return (
    isTransient(error) ||
    (error instanceof Error && /^(Connection terminated|Client has encountered)/.test(error.message))
  );
}

/** What an act from outside may be told: it came too late, or too early. */
function expectRefusal(error: unknown): void {
  if (TsdevError.is(error) && (error.code === "conflict" || error.code === "not_found")) return;
  throw error;
}
