// flaky-step: a workflow step that fails transiently, heals when it is repeated, and is safe to repeat.
import { z } from "zod";
import { analyzer, scopeCondition, scopeParams } from "./analyzer.ts";
import type { Finding, Rejection } from "./finding.ts";
import { fingerprint } from "./fingerprint.ts";
import { relativeFile } from "./frames.ts";
import { describeStatement } from "./statement.ts";
import { attempts, ownedCalls, ownedSpans } from "./step-spans.ts";
import { transientClass } from "./transient.ts";
import { wilson } from "./wilson.ts";

export const FlakyStepOptions = z.object({
  /** Failures from which on a step is looked at. */
  minFailures: z.int().default(3),
  /** Fewer attempts say too little about a rate. */
  minAttempts: z.int().default(50),
  /** Above this rate (upper bound) it is an outage or a bug, and retries make it worse. */
  maxErrorRate: z.number().default(0.3),
  /**
   * Errors must fall into at least this many of ten equal slices of the observed period. Slices of the period, not
   * minutes, so that the rule means the same for a load test of one minute and for a week.
   */
  minErrorSlices: z.int().min(1).max(10).default(3),
  /** Share of failures on one input above which the input is the cause. */
  maxOneInput: z.number().default(0.5),
  /** Lower bound of the share of failed inputs whose next attempt succeeds: 16 of 16, or 29 of 30. */
  minHealed: z.number().default(0.8),
});
export type FlakyStepOptions = z.infer<typeof FlakyStepOptions>;

/** Calls under the attempts of one node, by what they call. */
export interface AttemptCalls {
  /** HTTP method, or empty for a database call. */
  method: string;
  /** Host and path with ids replaced, the statement, or the messaging system. */
  target: string;
  /** HTTP calls that carried an idempotency key. */
  keyed: number;
  total: number;
  /** Attempts that failed and had made this call successfully before. */
  doneBeforeFailure: number;
  /** What repeating this call leaves behind. */
  effect: "none" | "same" | "again" | "unknown";
}

export interface FlakyStepCandidate {
  service: string;
  workflow: string;
  node: string;
  procedure: string;
  file: string | null;
  line: number | null;
  attempts: number;
  failures: number;
  errorTypes: Record<string, number>;
  /** Failures by what the last failing outgoing call said (a status or an error code), where there was one. */
  causes: Record<string, number>;
  errorSlices: number;
  /** Failures directly after a failure, of all attempts after a failure, in order of time. */
  afterFailure: { count: number; of: number };
  /** Most failures on one input. */
  failuresOfOneInput: number;
  healed: { count: number; of: number };
  maxAttempts: number;
  idempotent: boolean | null;
  calls: AttemptCalls[];
  p50Ms: number;
  p95Ms: number;
  /** Time spent in failed attempts. */
  failedMs: number;
  traceIds: string[];
}

interface NodeRow {
  service: string;
  workflow: string;
  node: string;
  procedure: string;
  siteFile: string;
  siteLine: string;
  attemptCount: number;
  failures: number;
  errorTypes: Record<string, number>;
  errorSlices: number;
  failedAfterFailure: number;
  afterFailure: number;
  failuresOfOneInput: number;
  retriedInputs: number;
  healedInputs: number;
  maxAttempts: number;
  idempotent: string;
  p50Ms: number;
  p95Ms: number;
  failedMs: number;
  traceIds: string[];
}

function nodesSql(where: string): string {
  const node = "service, workflow, node";
  const whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
  return `SELECT service, workflow, node, any(procedure) AS procedure,
      argMax(siteFile, at) AS siteFile, argMax(siteLine, at) AS siteLine, count() AS attemptCount,
      countIf(failed) AS failures, sumMapIf(map(errorType, toUInt32(1)), failed) AS errorTypes,
      uniqExactIf(slice, failed) AS errorSlices,
      countIf(failed AND previousFailed) AS failedAfterFailure, countIf(previousFailed) AS afterFailure,
      arrayMax(arrayConcat([0], mapValues(sumMapIf(map(digest, toUInt32(1)), failed AND digest != '')))) AS failuresOfOneInput,
      countIf(failed AND digest != '' AND hasNext) AS retriedInputs,
      countIf(failed AND digest != '' AND hasNext AND NOT nextFailed) AS healedInputs,
      max(maxAttempts) AS maxAttempts, argMax(idempotent, at) AS idempotent,
      quantile(0.5)(duration) / 1e6 AS p50Ms, quantile(0.95)(duration) / 1e6 AS p95Ms,
      sumIf(duration, failed) / 1e6 AS failedMs, groupUniqArrayIf(3)(trace, failed) AS traceIds
    FROM (
      SELECT *,
        lagInFrame(toUInt8(failed), 1, 0) OVER (PARTITION BY ${node} ORDER BY at, attempt ${whole}) AS previousFailed,
        leadInFrame(toUInt8(1), 1, 0) OVER (PARTITION BY ${node}, digest ORDER BY at, attempt ${whole}) AS hasNext,
        leadInFrame(toUInt8(failed), 1, 0) OVER (PARTITION BY ${node}, digest ORDER BY at, attempt ${whole}) AS nextFailed,
        toUnixTimestamp64Milli(min(at) OVER (PARTITION BY ${node})) AS firstAt,
        toUnixTimestamp64Milli(max(at) OVER (PARTITION BY ${node})) AS lastAt,
        least(9, intDiv((toUnixTimestamp64Milli(at) - firstAt) * 10, greatest(1, lastAt - firstAt))) AS slice
      FROM (${attempts(where)})
    )
    GROUP BY service, workflow, node HAVING failures >= {minFailures:UInt32}
    ORDER BY failures DESC LIMIT 100`;
}

interface CallRow {
  service: string;
  workflow: string;
  node: string;
  method: string;
  host: string;
  path: string;
  system: string;
  queryText: string;
  keyed: number;
  total: number;
  doneBeforeFailure: number;
}

function callsSql(where: string): string {
  return `WITH RECURSIVE ${ownedSpans(where, "attempt ")}
    SELECT a.service AS service, a.workflow AS workflow, a.node AS node, c.method AS method, c.host AS host, c.path AS path,
      c.system AS system, any(c.queryText) AS queryText, countIf(c.keyed) AS keyed, count() AS total,
      uniqExactIf(a.attempt, a.failed AND NOT c.failed) AS doneBeforeFailure
    FROM (${ownedCalls(where)}) AS c
    INNER JOIN (${attempts(where)}) AS a ON a.trace = c.trace AND a.attempt = c.owner
    WHERE concat(a.service, '/', a.workflow, '/', a.node) IN {nodes:Array(String)}
    GROUP BY service, workflow, node, method, host, path, system, normalizeQuery(c.queryText)`;
}

interface CauseRow {
  service: string;
  workflow: string;
  node: string;
  cause: string;
  failures: number;
}

function causesSql(where: string): string {
  return `WITH RECURSIVE ${ownedSpans(where, "attempt ")}
    SELECT a.service AS service, a.workflow AS workflow, a.node AS node, c.lastCause AS cause, count() AS failures
    FROM (SELECT trace, owner, argMax(cause, ended) AS lastCause FROM (${ownedCalls(where)})
      WHERE failed AND cause != '' GROUP BY trace, owner) AS c
    INNER JOIN (${attempts(where)}) AS a ON a.trace = c.trace AND a.attempt = c.owner
    WHERE a.failed AND concat(a.service, '/', a.workflow, '/', a.node) IN {nodes:Array(String)}
    GROUP BY service, workflow, node, cause`;
}

export const flakyStep = analyzer<FlakyStepCandidate, typeof FlakyStepOptions>({
  id: "flaky-step",
  title: "Steps that fail and would heal",
  options: FlakyStepOptions,

  async candidates(reader, scope, options) {
    const where = scopeCondition(scope);
    const params = scopeParams(scope);
    const nodes = await reader.query<NodeRow>(nodesSql(where), { ...params, minFailures: options.minFailures });
    if (nodes.length === 0) return [];
    const key = (row: { service: string; workflow: string; node: string }) =>
      `${row.service}/${row.workflow}/${row.node}`;
    const wanted = { ...params, nodes: nodes.map(key) };
    const calls = Map.groupBy(await reader.query<CallRow>(callsSql(where), wanted), key);
    const causes = Map.groupBy(await reader.query<CauseRow>(causesSql(where), wanted), key);
    return nodes.map((row) => ({
      service: row.service,
      workflow: row.workflow,
      node: row.node,
      procedure: row.procedure,
      file: relativeFile(row.siteFile),
      line: row.siteLine === "" ? null : Number(row.siteLine),
      attempts: row.attemptCount,
      failures: row.failures,
      errorTypes: row.errorTypes,
      causes: Object.fromEntries((causes.get(key(row)) ?? []).map((cause) => [cause.cause, cause.failures])),
      errorSlices: row.errorSlices,
      afterFailure: { count: row.failedAfterFailure, of: row.afterFailure },
      failuresOfOneInput: row.failuresOfOneInput,
      healed: { count: row.healedInputs, of: row.retriedInputs },
      maxAttempts: row.maxAttempts,
      idempotent: row.idempotent === "" ? null : row.idempotent === "true",
      calls: (calls.get(key(row)) ?? []).map(describeCalls),
      p50Ms: row.p50Ms,
      p95Ms: row.p95Ms,
      failedMs: row.failedMs,
      traceIds: row.traceIds,
    }));
  },

  judge(candidate, options) {
    const { attempts: of, failures } = candidate;
    if (candidate.maxAttempts > 1) {
      return reject(candidate, "already-retried", `up to ${candidate.maxAttempts} attempts are made already`);
    }
    const classes = transientShare(candidate);
    if (classes.transient < failures) {
      const seen = Object.keys({ ...candidate.errorTypes, ...candidate.causes })
        .filter(Boolean)
        .join(", ");
      const share = `${failures - classes.transient} of ${failures} failures`;
      return reject(candidate, "not-transient", `${share} are of a kind that a retry does not heal (${seen})`);
    }
    const rate = wilson(failures, of);
    if (of < options.minAttempts) {
      return reject(candidate, "too-few-attempts", `${of} attempts seen, ${options.minAttempts} are needed`);
    }
    if (rate.high >= options.maxErrorRate) {
      const bound = `${(rate.high * 100).toFixed(0)} %`;
      return reject(
        candidate,
        "outage",
        `${failures} of ${of} failed (up to ${bound}): an outage or a bug, not a flake`,
      );
    }
    const unsafe = whyUnsafe(candidate);
    if (unsafe !== null) return reject(candidate, unsafe.test, unsafe.reason);
    if (candidate.errorSlices < options.minErrorSlices) {
      const where = `${candidate.errorSlices} of 10 equal parts of the period`;
      return reject(candidate, "one-burst", `the failures fall into ${where}: back off or break the circuit instead`);
    }
    const after = wilson(candidate.afterFailure.count, candidate.afterFailure.of);
    if (after.low > rate.high) {
      const share = `${candidate.afterFailure.count} of ${candidate.afterFailure.of}`;
      return reject(
        candidate,
        "not-independent",
        `${share} attempts after a failure failed too: failures come together`,
      );
    }
    if (failures > 1 && candidate.failuresOfOneInput > failures * options.maxOneInput) {
      const share = `${candidate.failuresOfOneInput} of ${failures} failures`;
      return reject(candidate, "input-determined", `${share} are of one input: repeating it will not help`);
    }
    if (wilson(candidate.healed.count, candidate.healed.of).low < options.minHealed) {
      const seen = `${candidate.healed.count} of ${candidate.healed.of} repeated inputs succeeded`;
      return reject(candidate, "healing-not-seen", `${seen}; too few to say that a retry heals`);
    }
    return {
      detector: "flaky-step",
      fingerprint: fingerprint("flaky-step", candidate.service, candidate.workflow, candidate.node),
      service: candidate.service,
      title: `${candidate.node} fails ${((failures / of) * 100).toFixed(1)} % of the time and heals when repeated`,
      file: candidate.file,
      line: candidate.line,
      occurrences: failures,
      of,
      wastedMs: candidate.failedMs,
      p50Ms: candidate.p50Ms,
      p95Ms: candidate.p95Ms,
      traceIds: candidate.traceIds,
      evidence: {
        kind: "flaky-step",
        workflow: candidate.workflow,
        node: candidate.node,
        procedure: candidate.procedure,
        attempts: of,
        failures,
        errorTypes: classes.byType,
        healed: candidate.healed,
        safeBecause: safeBecause(candidate),
      },
    } satisfies Finding;
  },
});

/** Failures of a transient kind: by the attempt's own error, else by what its failing call said. */
function transientShare(candidate: FlakyStepCandidate): { transient: number; byType: Record<string, number> } {
  const own = Object.entries(candidate.errorTypes).filter(([type]) => transientClass(type) !== null);
  const ownCount = own.reduce((sum, [, count]) => sum + count, 0);
  if (ownCount === candidate.failures) return { transient: ownCount, byType: candidate.errorTypes };
  const called = Object.entries(candidate.causes).filter(([cause]) => transientClass(cause) !== null);
  const calledCount = called.reduce((sum, [, count]) => sum + count, 0);
  const byType = calledCount > 0 ? candidate.causes : candidate.errorTypes;
  return { transient: Math.max(ownCount, calledCount), byType };
}

const idempotentMethods = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

function describeCalls(row: CallRow): AttemptCalls {
  const base = { keyed: row.keyed, total: row.total, doneBeforeFailure: row.doneBeforeFailure };
  if (row.method !== "") {
    const method = row.method.toUpperCase();
    const safe = idempotentMethods.has(method) || row.keyed === row.total;
    const effect = method === "GET" || method === "HEAD" || method === "OPTIONS" ? "none" : safe ? "same" : "again";
    return { ...base, method, target: `${row.host}${row.path}`, effect };
  }
  if (row.queryText === "") return { ...base, method: "", target: row.system, effect: "unknown" };
  const statement = describeStatement(row.queryText);
  const reads = statement.kind === "select" && statement.understood && statement.writes.length === 0;
  const effect = reads ? "none" : !statement.understood ? "unknown" : statement.repeatable ? "same" : "again";
  return { ...base, method: "", target: row.queryText.replace(/\s+/g, " ").trim(), effect };
}

function whyUnsafe(candidate: FlakyStepCandidate): { test: string; reason: string } | null {
  const post = candidate.calls.find((call) => call.method !== "" && call.effect === "again");
  if (post !== undefined) {
    const reason =
      `as flaky, but ${post.method} ${post.target} carries no idempotency key: a retry could do it twice. ` +
      "Send `ctx.idempotencyKey` as its Idempotency-Key header and declare `idempotent: true` first";
    return { test: "no-idempotency-key", reason };
  }
  if (candidate.idempotent !== true) {
    const declared = candidate.idempotent === false ? "is declared not idempotent" : "is not declared idempotent";
    const reason = `as flaky, but ${candidate.procedure} ${declared}: make it safe to repeat and declare \`idempotent: true\` first`;
    return { test: "no-idempotency-key", reason };
  }
  const partial = candidate.calls.find(
    (call) =>
      call.method === "" && (call.effect === "again" || call.effect === "unknown") && call.doneBeforeFailure > 0,
  );
  if (partial !== undefined) {
    const reason = `before the failure it had run \`${partial.target}\`: a retry would do that again. Use an upsert first`;
    return { test: "partial-effect", reason };
  }
  return null;
}

function safeBecause(candidate: FlakyStepCandidate): string[] {
  const reasons = [`${candidate.procedure} declares \`idempotent: true\``];
  for (const call of candidate.calls) {
    if (call.method === "") continue;
    const key = call.keyed === call.total && call.effect === "same" ? " with an idempotency key" : "";
    reasons.push(`${call.method} ${call.target}${key} (${call.total} calls seen)`);
  }
  const statements = candidate.calls.filter((call) => call.method === "");
  if (statements.length === 0) reasons.push("no database call under the step");
  else if (statements.every((call) => call.doneBeforeFailure === 0)) reasons.push("no write before a failure");
  else reasons.push("what was written before a failure stays the same when written again");
  return reasons;
}

function reject(candidate: FlakyStepCandidate, test: string, reason: string): Rejection {
  return {
    detector: "flaky-step",
    fingerprint: fingerprint("flaky-step", candidate.service, candidate.workflow, candidate.node),
    service: candidate.service,
    subject: candidate.node,
    test,
    reason,
    file: candidate.file,
    line: candidate.line,
    traceIds: candidate.traceIds,
  };
}
