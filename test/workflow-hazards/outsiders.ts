// Outsiders: those who start, tell, answer, pause, cancel, retry and follow runs from outside, each of them twice or at a
// bad moment now and then. What they do is drawn from the seed; when it happens is not.
import { setTimeout as sleep } from "node:timers/promises";
import type { Queue as BullQueue } from "bullmq";
import type pg from "pg";
import type { Engine } from "../../sdk/engine/engine.ts";
import { enqueue } from "../../sdk/triggers/enqueue.ts";
import type { Acts } from "./check-acts.ts";
import { steadyNow } from "./effects.ts";
import { expectRefusal, insist, isAway } from "./insist.ts";
import { draw, nodesOf, type Specification } from "./specification.ts";
import { bullQueueName, type Input, told, type Workload } from "./workload.ts";

export interface OutsidersParts {
  readonly seed: number;
  readonly random: () => number;
  readonly specification: Specification;
  readonly workload: Workload;
  /** Two that act from outside and drive nothing. */
  readonly engines: readonly [Engine, Engine];
  readonly pool: pg.Pool;
  /** Of BullMQ, where there is a Redis. */
  readonly jobs: BullQueue | undefined;
  /** `calming`: nobody retries any more. `allEnded`: nobody is needed any more. */
  readonly phase: { calming: boolean; allEnded: boolean };
  readonly fail: (error: unknown) => void;
}

export interface Outsiders {
  readonly acts: Acts;
  readonly counts: { readonly duplicates: number; readonly redisMessages: number; readonly reconnects: number };
  /** The input ids of runs that were not seen to have ended. */
  readonly unended: Set<string>;
  play(index: number): Promise<void>;
  answerAll(): Promise<void>;
  follow(id: string): Promise<void>;
  retryFailed(): Promise<void>;
  /** Resumes a run that is paused. */
  resume(runId: string): Promise<void>;
  // biome-ignore lint/suspicious/noExplicitAny: rows of any statement
  query(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

export function outsidersOf(parts: OutsidersParts): Outsiders {
  const { seed, random, specification, engines, pool, jobs, phase, fail } = parts;
  const { workflows, own } = parts.workload;
  const specs = new Map([...specification.workflows, ...specification.children].map((one) => [one.name, one]));
  const started = new Set<string>();
  const delays = new Map<string, number>();
  const published = new Map<string, number>();
  const approvals: { runId: string; node: string; by: string; given: "yes" | "no" | "unknown" }[] = [];
  const followed = new Map<string, number[]>();
  const counts = { redisMessages: 0, duplicates: 0, reconnects: 0 };
  const unended = new Set<string>();
  const pick = () => engines[Math.floor(random() * 2)]!;
  const acts: Acts = { started, delays, approvals, published, followed };
  return { acts, counts, unended, play, answerAll, follow, retryFailed, resume, query };

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
    while (!phase.allEnded) {
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
      if (phase.allEnded) return;
      await sleep(100);
    }
    const runId = (await rootOf(id))!;
    followed.set(runId, seen);
    for (let last = false; ; ) {
      last = phase.allEnded;
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
    while (!phase.calming && !phase.allEnded) {
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

  async function resume(runId: string): Promise<void> {
    await insist(() => pick().resume(runId)).catch(expectRefusal);
  }
}
