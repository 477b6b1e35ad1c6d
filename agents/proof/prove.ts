// Prove: replays recorded requests against the deployed and the patched version, side by side in isolation, and measures.
//
// Order: equality first, and nothing is timed after a difference; then time as recorded, under a stated database delay
// and at ten times the rows. Everything made on the way (databases, role, slots, processes, files) is gone at the end,
// and after a kill -9 `cleanUpProofs` ends what was left.
import { mkdir, rm } from "node:fs/promises";
import { TsdevError } from "../../sdk/errors.ts";
import { type Check, readScript, runCheck } from "./checks.ts";
import { compareVersions, type EqualityResult } from "./equality.ts";
import { normalisations } from "./observation.ts";
import { isFailure } from "./outgoing-sink.ts";
import { chooseCore } from "./pinning.ts";
import type { Proof } from "./proof.ts";
import { ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";
import { type Selection, selectRequests } from "./selection.ts";
import { makeScaledTemplate, makeTemplate, type Template } from "./template.ts";
import { measureTime, type TimingPlan, type TimingResult } from "./timing.ts";

export { cleanUpProofs } from "./clean-up.ts";
export type { ProofDependencies, ProofMeasure, ProofRequest, ProofVersion } from "./request.ts";

const rowScale = 10;
const delayMs = 1;
const fewestAffected = 20;
/** How much slower the slowest twentieth may become, and below what the middle must be by what the finding is about. */
const bounds = { p95: 1.2, p50: { "round-trips": 1, time: 0.97, failures: null } } as const;

/**
 * Replays and measures. Resolves also when the versions are not equal, the patch is not better, or a version does not
 * run in isolation: the proof says so. Throws `canceled` on the signal, and what the machine itself refuses.
 */
export async function prove(request: ProofRequest, dependencies: ProofDependencies): Promise<Proof> {
  const started = performance.now();
  const { directory, signal } = dependencies;
  if (signal.aborted) throw canceled();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  let server: ProofServer | null = null;
  try {
    if (request.databaseUrl !== null) server = await ProofServer.open(dependencies.adminUrl, request.id);
    return await new Prover(request, dependencies, server, started).run();
  } catch (error) {
    if (signal.aborted) throw canceled();
    if (TsdevError.is(error) && error.code === "not_proven") return notRun(request, error.message, started);
    throw error;
  } finally {
    await server?.close().catch(() => {});
    await rm(directory, { recursive: true, force: true }).catch(() => {});
  }
}

class Prover {
  readonly #request: ProofRequest;
  readonly #dependencies: ProofDependencies;
  readonly #server: ProofServer | null;
  readonly #started: number;
  readonly #notProven: string[] = [];

  constructor(request: ProofRequest, dependencies: ProofDependencies, server: ProofServer | null, started: number) {
    this.#request = request;
    this.#dependencies = dependencies;
    this.#server = server;
    this.#started = started;
  }

  async run(): Promise<Proof> {
    const request = this.#request;
    const selection = selectRequests(request);
    this.#notProven.push(...selection.left);
    this.#progress("copying the database", 0.02);
    // Type checking needs no database: it runs while the copy is made.
    const typecheck = this.#check("typecheck", async () => null);
    let equality: EqualityResult;
    let template: Template | null = null;
    let scaled: Promise<Template | null> = Promise.resolve(null);
    const checks: Promise<Check | null>[] = [typecheck];
    try {
      if (this.#server !== null) {
        template = await makeTemplate(this.#server, request.databaseUrl!, request, this.#dependencies);
        this.#notProven.push(...template.left);
      }
      checks.push(this.#check("test", async () => (template === null ? null : this.#server!.appUrl(template.fresh))));
      scaled = this.#scaledTemplate(template);
      this.#progress("comparing outputs and changed rows", 0.15);
      equality = await compareVersions(
        request,
        { ...this.#dependencies, progress: (text, part = 0) => this.#progress(text, 0.15 + 0.25 * part) },
        this.#server,
        template?.name ?? null,
        selection,
      );
    } finally {
      // Nothing of these may run while time is measured, or after the databases are dropped.
      await Promise.allSettled([...checks, scaled]);
    }
    this.#notProven.push(...equality.notProven);
    const results = (await Promise.all(checks)).filter((check) => check !== null);
    const passed = results.every((check) => check.passed);
    const timing = equality.equal && passed ? await this.#time(selection, equality, template, await scaled) : null;
    return this.#report(selection, equality, results, timing);
  }

  async #check(name: string, databaseUrl: () => Promise<string | null>): Promise<Check | null> {
    const script = await readScript(this.#request.patch.folder, name);
    if (script === null) {
      this.#notProven.push(`the app has no ${name} script`);
      return null;
    }
    return runCheck(name, script, await databaseUrl(), this.#request, this.#dependencies);
  }

  async #scaledTemplate(template: Template | null): Promise<Template | null> {
    if (template === null || this.#request.measure !== "round-trips") return null;
    try {
      const made = await makeScaledTemplate(this.#server!, template, rowScale, this.#dependencies.signal);
      this.#notProven.push(...made.left);
      return made.template;
    } catch (error) {
      this.#notProven.push(`${rowScale} times the rows: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  async #time(
    selection: Selection,
    equality: EqualityResult,
    template: Template | null,
    scaled: Template | null,
  ): Promise<TimingResult> {
    const { measure, outgoing } = this.#request;
    const { signal } = this.#dependencies;
    const core = await chooseCore(this.#server);
    if (core === null)
      this.#notProven.push("time on pinned cores: processes were left to the scheduler, so intervals are wider");
    const broken = new Set(outgoing.filter(isFailure).map((recording) => recording.traceId));
    // A failed call waits for its next attempt: that is no slowness of the code.
    const recordings = selection.affected.filter((each) => each.status < 500 && !broken.has(each.traceId));
    if (recordings.length === 0) {
      this.#notProven.push("time: every affected request failed when it was recorded");
      return { conditions: [], p95Ratios: [], unequal: [], pairs: 0, failed: 0 };
    }
    if (equality.writes && recordings.length < fewestAffected) {
      this.#notProven.push(
        `time on different inputs: only ${recordings.length} were recorded, so they were sent several times`,
      );
    }
    const limits = { time: 1_500, "round-trips": 1_100, failures: 900 };
    const asRecorded = { name: "as recorded", delayMs: 0, pairs: 60, limitMs: limits[measure] };
    const delayed = { name: `${delayMs} ms database delay (simulated)`, delayMs, pairs: 20, limitMs: 700 };
    const plan: TimingPlan = {
      template: template?.name ?? null,
      boots: measure === "failures" ? 3 : 4,
      decideBelow: bounds.p50[measure],
      writes: equality.writes,
      conditions: measure === "round-trips" && template !== null ? [asRecorded, delayed] : [asRecorded],
    };
    const run = (one: TimingPlan, from: number, to: number) =>
      measureTime(
        one,
        recordings,
        this.#request,
        { ...this.#dependencies, progress: (text, part = 0) => this.#progress(text, from + (to - from) * part) },
        this.#server,
        core,
      );
    const timing = await run(plan, 0.4, scaled === null ? 0.97 : 0.75);
    if (scaled === null) return timing;
    const large = { name: `${rowScale}x rows (simulated)`, delayMs: 0, pairs: 30, limitMs: 600 };
    const tenfold = await run(
      { ...plan, template: scaled.name, boots: 3, decideBelow: null, conditions: [large] },
      0.75,
      0.97,
    ).catch((error: unknown) => {
      signal.throwIfAborted();
      this.#notProven.push(`${rowScale} times the rows: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    });
    if (tenfold === null) return timing;
    return {
      conditions: [...timing.conditions, ...tenfold.conditions],
      p95Ratios: [...timing.p95Ratios, ...tenfold.p95Ratios],
      unequal: [...timing.unequal, ...tenfold.unequal],
      pairs: timing.pairs + tenfold.pairs,
      failed: timing.failed + tenfold.failed,
    };
  }

  #report(selection: Selection, equality: EqualityResult, checks: Check[], timing: TimingResult | null): Proof {
    const { measure } = this.#request;
    const first = timing?.conditions[0];
    const differences = [...equality.differences];
    if (timing !== null && timing.unequal.length > 0) {
      const { unequal, pairs } = timing;
      differences.push(`${unequal.length} of ${pairs} pairs of timed requests differed, the first in ${unequal[0]}`);
    }
    if (timing !== null && timing.failed > timing.pairs / 5) {
      this.#notProven.push(`${timing.failed} timed pairs did not count because a side failed`);
    }
    if (selection.affected.length < fewestAffected) {
      this.#notProven.push(
        `more than ${selection.affected.length} recorded requests of the affected code: there were no more`,
      );
    }
    this.#notProven.push(
      "concurrent requests: they were replayed one at a time",
      "outgoing traffic is stopped inside the process by the tracing hook; there is no operating system sandbox around it",
    );
    if (this.#request.databaseUrl !== null) {
      this.#notProven.push(
        "the state of the database at the time of each recording: the copy is from the time of the proof",
      );
    }
    const slower = timing !== null && isTailWorse(timing);
    if (first !== undefined && !slower && first.p95Ms.after > first.p95Ms.before * bounds.p95) {
      this.#notProven.push(
        `p95 (${first.p95Ms.before} to ${first.p95Ms.after} ms): the boots differ too much to call it worse`,
      );
    }
    const equal = differences.length === 0 && checks.every((check) => check.passed);
    for (const check of checks)
      if (!check.passed) differences.push(`the app's own ${check.name} fails at the patched version`);
    return {
      id: this.#request.id,
      baseCommit: this.#request.base.commit,
      patchCommit: this.#request.patch.commit,
      equal,
      requests: equality.requests,
      boots: first?.boots ?? 0,
      roundTripsPerRequest: equality.roundTrips,
      spansPerRequest: equality.spans,
      failureRate: equality.failureRate,
      p50Ms: first?.p50Ms ?? { before: 0, after: 0 },
      p50Ratio: first?.p50Ratio ?? unmeasured,
      p95Ms: first?.p95Ms ?? { before: 0, after: 0 },
      conditions: timing?.conditions ?? [],
      checks,
      normalised: normalised(this.#request),
      notProven: [...new Set(this.#notProven)],
      better: equal && first !== undefined && !slower && isBetter(measure, equality, first),
      differences,
      seconds: secondsSince(this.#started),
    };
  }

  #progress(message: string, fraction: number): void {
    this.#dependencies.progress(message, fraction);
  }
}

/** Better by the measure that the finding is about. */
function isBetter(
  measure: ProofRequest["measure"],
  equality: EqualityResult,
  timing: TimingResult["conditions"][number],
): boolean {
  switch (measure) {
    case "round-trips":
      return equality.roundTrips.after < equality.roundTrips.before && timing.p50Ratio.high < bounds.p50[measure];
    case "failures":
      return equality.failureRate.after < equality.failureRate.before;
    case "time":
      return timing.p50Ratio.high < bounds.p50[measure];
  }
}

/** The guard: p95 is worse by more than the bound, and not only in a boot or two. One tail varies 11 to 21 %. */
function isTailWorse(timing: TimingResult): boolean {
  const first = timing.conditions[0];
  const ratio = timing.p95Ratios[0];
  if (first === undefined || ratio === undefined) return false;
  return first.p95Ms.after > first.p95Ms.before * bounds.p95 && ratio.low > 1;
}

/** The proof of a version that cannot be run: nothing was measured. */
function notRun(request: ProofRequest, reason: string, started: number): Proof {
  const none = { before: 0, after: 0 };
  return {
    id: request.id,
    baseCommit: request.base.commit,
    patchCommit: request.patch.commit,
    equal: false,
    requests: 0,
    boots: 0,
    roundTripsPerRequest: none,
    spansPerRequest: none,
    failureRate: none,
    p50Ms: none,
    p50Ratio: unmeasured,
    p95Ms: none,
    conditions: [],
    checks: [],
    normalised: [],
    notProven: ["everything: nothing could be replayed"],
    better: false,
    differences: [reason],
    seconds: secondsSince(started),
  };
}

const unmeasured = { value: 1, low: 0, high: Number.MAX_SAFE_INTEGER };
const secondsSince = (started: number): number => Math.round((performance.now() - started) / 100) / 10;

function normalised(request: ProofRequest): string[] {
  const lines = [...normalisations];
  if (request.measure === "failures") {
    lines.push(
      "a call that failed and was made again counts once, with the answer it ended with",
      "the body of an answer of 500 and above, when both sides failed",
      "gaps that rolled back attempts leave in sequences",
    );
  }
  if ((request.normalise ?? []).length > 0) lines.push(`by the app's configuration: ${request.normalise!.join(", ")}`);
  return lines;
}

function canceled(): TsdevError {
  return new TsdevError("canceled", { message: "the proof was canceled", fix: "start it again" });
}
