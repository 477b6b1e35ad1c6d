// Timing: both versions booted afresh several times, and in each boot the same requests in pairs of random order.
//
// Requests of one process are not independent of each other: each booted process has a speed of its own. So a boot is
// the unit: its value is the median of its paired log ratios, and the interval is taken over boots.
import type { z } from "zod";
import type { RequestRecording } from "../../platform/telemetry/recording.ts";
import { type BootOptions, boot, type Side } from "./boot.ts";
import { type Answer, newTraceId } from "./driver.ts";
import { Comparison } from "./observation.ts";
import { pinSessions } from "./pinning.ts";
import type { ProofCondition } from "./proof.ts";
import type { ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";
import { median, quantile, type Ratio, ratioInterval } from "./statistics.ts";

type Condition = z.infer<typeof ProofCondition>;

export interface TimingPlan {
  /** The template to clone; null when the app has no database. */
  template: string | null;
  boots: number;
  /**
   * As many boots again, once, when the first condition's interval reaches over this bound although its value does not:
   * too noisy to say. Null: never.
   */
  decideBelow: number | null;
  /** False: reads, both sides share one clone. True: every boot gets a fresh clone for each side. */
  writes: boolean;
  /** Measured one after the other within each boot. */
  conditions: { name: string; delayMs: number; pairs: number; limitMs: number }[];
}

export interface TimingResult {
  conditions: Condition[];
  /** For each condition the ratio of the boots' 95th percentiles, with its interval. */
  p95Ratios: Ratio[];
  /** Reads in which the two sides' answers differed, after the declared normalisation. */
  unequal: string[];
  pairs: number;
  /** Pairs that did not count because a side failed. */
  failed: number;
}

const warmUp = { least: 6, most: 60, limitMs: 600 };
/** A pair is counted also past the time limit until there are so many. */
const fewestPairs = 8;
/** Partners answer as slowly as recorded, up to this. */
const longestAnswerMs = 250;

interface Measured {
  ratios: number[];
  /** Log ratios of the boots' 95th percentiles. */
  tails: number[];
  before: number[];
  after: number[];
}

type Counts = Pick<TimingResult, "unequal" | "pairs" | "failed">;

const nothing = (): Measured => ({ ratios: [], tails: [], before: [], after: [] });

export async function measureTime(
  plan: TimingPlan,
  recordings: readonly RequestRecording[],
  request: ProofRequest,
  dependencies: ProofDependencies,
  server: ProofServer | null,
  core: number | null,
): Promise<TimingResult> {
  const measured = plan.conditions.map(nothing);
  const result: Counts = { unequal: [], pairs: 0, failed: 0 };
  const shared =
    server !== null && plan.template !== null && !plan.writes ? await server.clone(plan.template, "timing") : null;
  const looks = plan.decideBelow === null ? "once" : "twice";
  const undecided = () => {
    const { value, high } = ratioInterval(measured[0]!.ratios, looks);
    return plan.decideBelow !== null && value < plan.decideBelow && high >= plan.decideBelow;
  };
  let boots = plan.boots;
  for (let number = 1; number <= boots; number += 1) {
    dependencies.signal.throwIfAborted();
    dependencies.progress(`measuring ${plan.conditions[0]!.name}, boot ${number} of ${boots}`, (number - 1) / boots);
    const sides: Side[] = [];
    try {
      const clone = async (part: string) =>
        shared ?? (server !== null && plan.template !== null ? await server.clone(plan.template, part) : null);
      const start = async (label: string, version: ProofRequest["base"], part: string) => {
        const options: BootOptions = {
          label,
          version,
          database: await clone(part),
          sink: { recordings: request.outgoing, retries: request.measure === "failures", longestMs: longestAnswerMs },
          deterministic: false,
          core,
        };
        const side = await boot(options, request, dependencies, server);
        sides.push(side);
        return side;
      };
      const started = await Promise.allSettled([
        start("timing-base", request.base, "timing_base"),
        start("timing-patch", request.patch, "timing_patch"),
      ]);
      for (const each of started) if (each.status === "rejected") throw each.reason;
      const [before, after] = started.map((each) => (each as PromiseFulfilledResult<Side>).value) as [Side, Side];
      const rules = { callsAsSet: false, failedBodies: true };
      const comparison = plan.writes ? null : new Comparison(Date.now(), request.normalise ?? [], rules);
      const pairs = new PairRunner(before, after, recordings, result, comparison);
      await pairs.run({ pairs: warmUp.most, least: warmUp.least, limitMs: warmUp.limitMs }, null);
      if (server !== null && core !== null) {
        const databases = [before.database, after.database].filter((name) => name !== null);
        await pinSessions(server, databases, core);
        await pairs.run({ pairs: 2, least: 2, limitMs: 0 }, null);
      }
      for (const [index, condition] of plan.conditions.entries()) {
        for (const side of sides) side.proxy?.setDelay(condition.delayMs);
        if (condition.delayMs > 0) await pairs.run({ pairs: 2, least: 2, limitMs: 0 }, null);
        const own = nothing();
        await pairs.run({ pairs: condition.pairs, least: fewestPairs, limitMs: condition.limitMs }, own);
        if (own.ratios.length === 0) continue;
        measured[index]!.ratios.push(median(own.ratios));
        measured[index]!.tails.push(Math.log(quantile(own.after, 0.95) / quantile(own.before, 0.95)));
        measured[index]!.before.push(...own.before);
        measured[index]!.after.push(...own.after);
      }
    } finally {
      await Promise.all(sides.map((side) => side.close().catch(() => {})));
    }
    if (number === plan.boots && undecided()) boots = plan.boots * 2;
  }
  return {
    ...result,
    p95Ratios: measured.map(({ tails }) => ratioInterval(tails)),
    conditions: plan.conditions.map(({ name }, index) => {
      const { ratios, before, after } = measured[index]!;
      return {
        name,
        boots: ratios.length,
        p50Ms: { before: round(median(before)), after: round(median(after)) },
        p50Ratio: ratioInterval(ratios, index === 0 ? looks : "once"),
        p95Ms: { before: round(quantile(before, 0.95)), after: round(quantile(after, 0.95)) },
      };
    }),
  };
}

const round = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** Sends one recording to both sides after the other, in random order. */
class PairRunner {
  #next = 0;
  readonly #before: Side;
  readonly #after: Side;
  readonly #recordings: readonly RequestRecording[];
  readonly #result: Counts;
  readonly #comparison: Comparison | null;

  constructor(
    before: Side,
    after: Side,
    recordings: readonly RequestRecording[],
    result: Counts,
    comparison: Comparison | null,
  ) {
    this.#before = before;
    this.#after = after;
    this.#recordings = recordings;
    this.#comparison = comparison;
    this.#result = result;
  }

  async run(limit: { pairs: number; least: number; limitMs: number }, into: Measured | null): Promise<void> {
    const deadline = performance.now() + limit.limitMs;
    for (let made = 0; made < limit.pairs && (made < limit.least || performance.now() < deadline); made += 1) {
      const recording = this.#recordings[this.#next % this.#recordings.length]!;
      this.#next += 1;
      const firstIsBefore = Math.random() < 0.5;
      const order = firstIsBefore ? [this.#before, this.#after] : [this.#after, this.#before];
      const first = await send(order[0]!, recording);
      const second = await send(order[1]!, recording);
      const [left, right] = firstIsBefore ? [first, second] : [second, first];
      if (into === null) continue;
      if (left.status !== right.status || left.status === 0 || left.status >= 500) {
        this.#result.failed += 1;
        continue;
      }
      this.#result.pairs += 1;
      if (this.#comparison !== null && !left.body.equals(right.body)) {
        const found = this.#comparison.compare(observed(left), observed(right));
        if (found.length > 0) this.#result.unequal.push(`${recording.method} ${recording.path}: ${found[0]}`);
      }
      into.ratios.push(Math.log(right.ms / left.ms));
      into.before.push(left.ms);
      into.after.push(right.ms);
    }
  }
}

const observed = ({ status, headers, body }: Answer) => ({ status, headers, body, calls: [], changes: [] });

async function send(side: Side, recording: RequestRecording) {
  side.sink.begin({ traceId: recording.traceId });
  const traceId = newTraceId();
  const answer = await side.driver.send(recording, { traceId, requestId: traceId });
  side.sink.end();
  return answer;
}
