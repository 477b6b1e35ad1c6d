// parallel-steps: two steps of a workflow that wait for each other although neither needs or disturbs the other.
import { z } from "zod";
import { analyzer, scopeCondition, scopeParams } from "./analyzer.ts";
import type { Finding, Rejection } from "./finding.ts";
import { fingerprint } from "./fingerprint.ts";
import { jsonArray, relativeFile } from "./frames.ts";
import { describeStatement } from "./statement.ts";
import { ownedCalls, ownedSpans } from "./step-spans.ts";

/** Start times of spans may be whole milliseconds while durations are finer: a successor may seem to begin so much too early. */
const clockStepNs = 1_000_000;

export const ParallelStepsOptions = z.object({
  /** Runs in which both steps were seen one after the other; fewer do not show what they touch. */
  minRuns: z.int().default(20),
  /** Median saving a run, milliseconds (sum less the longer one). */
  minSavedMs: z.number().default(5),
  /** Saving as a share of the run's median duration. */
  minSavedShare: z.number().default(0.1),
  /** A saving of this size, milliseconds, is worth having whatever its share: on a busy machine every other step grows. */
  alwaysWorthMs: z.number().default(20),
});
export type ParallelStepsOptions = z.infer<typeof ParallelStepsOptions>;

/** What a step is known to touch. */
export interface StepEffects {
  /** As the procedure declares; null when it does not. */
  declared: { reads: string[]; writes: string[] } | null;
  /** As its spans showed: tables, and `POST host/path` of calls that may write. */
  observed: { reads: string[]; writes: string[] };
  /** Calls whose effect cannot be told from the span. */
  unclear: string[];
}

export interface PairStep {
  node: string;
  procedure: string;
  /** Scope keys. */
  reads: string[];
  writes: string[];
  effects: StepEffects;
  medianMs: number;
  failures: number;
}

export interface ParallelStepsCandidate {
  service: string;
  workflow: string;
  file: string | null;
  line: number | null;
  first: PairStep;
  second: PairStep;
  runs: number;
  /** Runs of the workflow in the period. */
  of: number;
  savedMs: number;
  runP50Ms: number;
  runP95Ms: number;
  traceIds: string[];
}

interface PairRow {
  service: string;
  workflow: string;
  node: string;
  nextNode: string;
  procedure: string;
  nextProcedure: string;
  reads: string;
  writes: string;
  nextReads: string;
  nextWrites: string;
  effectReads: string[];
  effectWrites: string[];
  nextEffectReads: string[];
  nextEffectWrites: string[];
  undeclared: number;
  nextUndeclared: number;
  medianMs: number;
  nextMedianMs: number;
  failures: number;
  nextFailures: number;
  runs: number;
  workflowRuns: number;
  savedMs: number;
  runP50Ms: number;
  runP95Ms: number;
  siteFile: string;
  siteLine: string;
  traceIds: string[];
}

const pairColumns = (
  "service workflow node nextNode procedure nextProcedure reads writes nextReads nextWrites medianMs nextMedianMs " +
  "failures nextFailures runs savedMs runP50Ms runP95Ms siteFile siteLine traceIds"
).split(" ");

function pairsSql(where: string): string {
  const attribute = (name: string) => `SpanAttributes['tsdev.${name}']`;
  const lead = (column: string) =>
    `leadInFrame(${column}) OVER (PARTITION BY trace, parent ORDER BY start, span
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)`;
  const steps = `SELECT s.TraceId AS trace, s.SpanId AS span, s.ParentSpanId AS parent, s.ServiceName AS service,
      toUnixTimestamp64Nano(s.Timestamp) AS start, toInt64(s.Duration) AS duration, s.StatusCode = 'Error' AS failed,
      s.SpanAttributes['tsdev.node.id'] AS node, s.SpanAttributes['tsdev.node.op'] AS op,
      s.SpanAttributes['tsdev.node.parallel'] AS parallel, s.SpanAttributes['tsdev.node.procedure'] AS procedure,
      s.SpanAttributes['tsdev.node.reads'] AS reads, s.SpanAttributes['tsdev.node.writes'] AS writes,
      s.SpanAttributes['code.file.path'] AS siteFile, s.SpanAttributes['code.line.number'] AS siteLine,
      w.workflow AS workflow, w.runMs AS runMs
    FROM (SELECT * FROM otel_traces WHERE ${where} AND ${attribute("node.id")} != '') AS s
    INNER JOIN (SELECT TraceId, SpanId, ${attribute("workflow.name")} AS workflow, Duration / 1e6 AS runMs
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'workflow ')) AS w
      ON w.TraceId = s.TraceId AND w.SpanId = s.ParentSpanId`;
  const effects = `SELECT ServiceName AS service, if(${attribute("node.procedure")} != '', ${attribute("node.procedure")},
        substring(SpanName, length('procedure ') + 1)) AS procedure,
      groupUniqArray(20)(${attribute("procedure.effects.reads")}) AS reads,
      groupUniqArray(20)(${attribute("procedure.effects.writes")}) AS writes,
      countIf(NOT mapContains(SpanAttributes, 'tsdev.procedure.effects.writes')) AS undeclared
    FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'procedure ') GROUP BY service, procedure`;
  // By name: a star over joins gives columns that two tables have a prefix.
  const own = pairColumns.map((column) => `q.${column} AS ${column}`).join(", ");
  return `SELECT ${own}, f.reads AS effectReads, f.writes AS effectWrites, f.undeclared AS undeclared,
      n.reads AS nextEffectReads, n.writes AS nextEffectWrites, n.undeclared AS nextUndeclared,
      r.workflowRuns AS workflowRuns
    FROM (
      SELECT service, workflow, node, nextNode, any(procedure) AS procedure, any(nextProcedure) AS nextProcedure,
        argMaxIf(reads, start, reads != '') AS reads, argMaxIf(writes, start, writes != '') AS writes,
        argMaxIf(nextReads, start, nextReads != '') AS nextReads, argMaxIf(nextWrites, start, nextWrites != '') AS nextWrites,
        quantile(0.5)(duration) / 1e6 AS medianMs, quantile(0.5)(nextDuration) / 1e6 AS nextMedianMs,
        countIf(failed) AS failures, countIf(nextFailed) AS nextFailures, count() AS runs,
        quantile(0.5)(least(duration, nextDuration)) / 1e6 AS savedMs,
        quantile(0.5)(runMs) AS runP50Ms, quantile(0.95)(runMs) AS runP95Ms,
        argMax(siteFile, start) AS siteFile, argMax(siteLine, start) AS siteLine,
        arraySlice(arrayDistinct(arrayMap(x -> x.2, arrayReverseSort(x -> x.1, groupArray(200)((duration, trace))))), 1, 3)
          AS traceIds
      FROM (
        SELECT *, ${lead("node")} AS nextNode, ${lead("op")} AS nextOp, ${lead("parallel")} AS nextParallel,
          ${lead("procedure")} AS nextProcedure, ${lead("reads")} AS nextReads, ${lead("writes")} AS nextWrites,
          ${lead("start")} AS nextStart, ${lead("duration")} AS nextDuration, ${lead("failed")} AS nextFailed
        FROM (${steps})
      )
      WHERE nextNode != '' AND node != nextNode AND op = 'step' AND nextOp = 'step' AND parallel = '' AND nextParallel = ''
        AND nextStart + ${clockStepNs} >= start + duration
      GROUP BY service, workflow, node, nextNode ORDER BY savedMs * runs DESC LIMIT 200
    ) AS q
    LEFT JOIN (${effects}) AS f ON f.service = q.service AND f.procedure = q.procedure
    LEFT JOIN (${effects}) AS n ON n.service = q.service AND n.procedure = q.nextProcedure
    LEFT JOIN (SELECT ServiceName AS service, ${attribute("workflow.name")} AS workflow, count() AS workflowRuns
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'workflow ') GROUP BY service, workflow) AS r
      ON r.service = q.service AND r.workflow = q.workflow`;
}

interface CallRow {
  service: string;
  node: string;
  method: string;
  host: string;
  path: string;
  system: string;
  queryText: string;
}

function callsSql(where: string): string {
  return `WITH RECURSIVE ${ownedSpans(where, "step ")}
    SELECT s.service AS service, s.node AS node, c.method AS method, c.host AS host, c.path AS path, c.system AS system,
      any(c.queryText) AS queryText
    FROM (${ownedCalls(where)}) AS c
    INNER JOIN (SELECT TraceId, SpanId, ServiceName AS service, SpanAttributes['tsdev.node.id'] AS node,
        SpanAttributes['tsdev.node.procedure'] AS procedure
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'step ')) AS s
      ON s.TraceId = c.trace AND s.SpanId = c.owner
    WHERE s.procedure IN {procedures:Array(String)}
    GROUP BY service, node, method, host, path, system, normalizeQuery(c.queryText)`;
}

export const parallelSteps = analyzer<ParallelStepsCandidate, typeof ParallelStepsOptions>({
  id: "parallel-steps",
  title: "Steps that wait for nothing",
  options: ParallelStepsOptions,
  // Most neighbours need each other's output: that is what a sequence is for.
  quiet: ["needs-output"],

  async candidates(reader, scope) {
    const where = scopeCondition(scope);
    const params = scopeParams(scope);
    const pairs = await reader.query<PairRow>(pairsSql(where), params);
    if (pairs.length === 0) return [];
    const procedures = [...new Set(pairs.flatMap((pair) => [pair.procedure, pair.nextProcedure]))];
    const rows = await reader.query<CallRow>(callsSql(where), { ...params, procedures });
    const calls = Map.groupBy(rows, (row) => JSON.stringify([row.service, row.node]));
    const of = (service: string, node: string) => calls.get(JSON.stringify([service, node])) ?? [];
    return pairs.map((row) => ({
      service: row.service,
      workflow: row.workflow,
      file: relativeFile(row.siteFile),
      line: row.siteLine === "" ? null : Number(row.siteLine),
      first: {
        node: row.node,
        procedure: row.procedure,
        reads: jsonArray(row.reads),
        writes: jsonArray(row.writes),
        effects: effectsOf(row.effectReads, row.effectWrites, row.undeclared, of(row.service, row.node)),
        medianMs: row.medianMs,
        failures: row.failures,
      },
      second: {
        node: row.nextNode,
        procedure: row.nextProcedure,
        reads: jsonArray(row.nextReads),
        writes: jsonArray(row.nextWrites),
        effects: effectsOf(
          row.nextEffectReads,
          row.nextEffectWrites,
          row.nextUndeclared,
          of(row.service, row.nextNode),
        ),
        medianMs: row.nextMedianMs,
        failures: row.nextFailures,
      },
      runs: row.runs,
      of: Math.max(row.workflowRuns, row.runs),
      savedMs: row.savedMs,
      runP50Ms: row.runP50Ms,
      runP95Ms: row.runP95Ms,
      traceIds: row.traceIds,
    }));
  },

  judge(candidate, options) {
    const { first, second } = candidate;
    const needed = first.writes.filter((key) => second.reads.includes(key) || second.writes.includes(key));
    if (needed.length > 0) {
      return reject(candidate, "needs-output", `${second.node} needs ${needed.join(", ")} of ${first.node}`);
    }
    const clash = conflict(first, second);
    if (clash !== null) return reject(candidate, "shared-rows", clash);
    for (const step of [first, second]) {
      const why = whyUnknown(step);
      if (why !== null) return reject(candidate, "unknown-effects", why);
    }
    const writes = [...second.effects.observed.writes, ...(second.effects.declared?.writes ?? [])];
    if (first.failures > 0 && writes.length > 0) {
      const reason = `${first.node} failed in ${first.failures} runs, and then ${second.node} must not write ${writes[0]}`;
      return reject(candidate, "guards-next", reason);
    }
    if (candidate.runs < options.minRuns) {
      const reason = `seen in ${candidate.runs} runs, ${options.minRuns} are needed to know what they touch`;
      return reject(candidate, "observed-only-n-runs", reason);
    }
    const share = candidate.runP50Ms > 0 ? candidate.savedMs / candidate.runP50Ms : 0;
    const large = share >= options.minSavedShare || candidate.savedMs >= options.alwaysWorthMs;
    if (candidate.savedMs < options.minSavedMs || !large) {
      const gain = `${candidate.savedMs.toFixed(1)} ms, ${(share * 100).toFixed(0)} % of a run`;
      return reject(candidate, "too-little-to-gain", `independent, but together they would save only ${gain}`);
    }
    return {
      detector: "parallel-steps",
      fingerprint: fingerprintOf(candidate),
      service: candidate.service,
      title: `${second.node} waits for ${first.node} in ${candidate.workflow}, though neither needs the other`,
      file: candidate.file,
      line: candidate.line,
      occurrences: candidate.runs,
      of: candidate.of,
      wastedMs: candidate.savedMs * candidate.runs,
      p50Ms: candidate.runP50Ms,
      p95Ms: candidate.runP95Ms,
      traceIds: candidate.traceIds,
      evidence: {
        kind: "parallel-steps",
        workflow: candidate.workflow,
        nodes: [first.node, second.node],
        procedures: [first.procedure, second.procedure],
        durationsMs: [first.medianMs, second.medianMs],
        runs: candidate.runs,
        savedMs: candidate.savedMs,
      },
    } satisfies Finding;
  },
});

function effectsOf(reads: string[], writes: string[], undeclared: number, calls: CallRow[]): StepEffects {
  const known = writes.length > 0 && undeclared === 0;
  const effects: StepEffects = {
    declared: known
      ? { reads: [...new Set(reads.flatMap(jsonArray))], writes: [...new Set(writes.flatMap(jsonArray))] }
      : null,
    observed: { reads: [], writes: [] },
    unclear: [],
  };
  for (const call of calls) {
    if (call.method !== "") {
      const method = call.method.toUpperCase();
      const place = `${call.host}${call.path}`;
      if (method === "GET" || method === "HEAD" || method === "OPTIONS") effects.observed.reads.push(place);
      else effects.observed.writes.push(place);
      continue;
    }
    const statement = describeStatement(call.queryText);
    effects.observed.reads.push(...statement.reads);
    effects.observed.writes.push(...statement.writes);
    if (!statement.understood) effects.unclear.push(call.queryText === "" ? call.system : call.queryText);
  }
  effects.observed.reads = [...new Set(effects.observed.reads)].sort();
  effects.observed.writes = [...new Set(effects.observed.writes)].sort();
  return effects;
}

/** One sentence about the first resource that one writes and the other touches, or null. */
function conflict(first: PairStep, second: PairStep): string | null {
  const touched = (step: PairStep) => ({
    reads: new Set([...(step.effects.declared?.reads ?? []), ...step.effects.observed.reads]),
    writes: new Set([...(step.effects.declared?.writes ?? []), ...step.effects.observed.writes]),
  });
  const a = touched(first);
  const b = touched(second);
  for (const resource of a.writes) {
    if (b.writes.has(resource)) return `both write ${resource}`;
  }
  for (const resource of a.writes) {
    if (b.reads.has(resource)) return `${first.node} writes ${resource}, which ${second.node} reads`;
  }
  for (const resource of b.writes) {
    if (a.reads.has(resource)) return `${second.node} writes ${resource}, which ${first.node} reads`;
  }
  return null;
}

function whyUnknown(step: PairStep): string | null {
  if (step.effects.unclear.length > 0)
    return `what ${step.node} touches by \`${step.effects.unclear[0]}\` is not known`;
  if (step.effects.declared !== null) return null;
  const { observed } = step.effects;
  // Silence is no evidence: a step that shows no call at all may touch what no span tells.
  if (observed.writes.length === 0 && observed.reads.length > 0) return null;
  return `${step.procedure} does not declare its effects; add \`effects: { reads: […], writes: […] }\` to it`;
}

function fingerprintOf({ service, workflow, first, second }: ParallelStepsCandidate): string {
  return fingerprint("parallel-steps", service, workflow, first.node, second.node);
}

function reject(candidate: ParallelStepsCandidate, test: string, reason: string): Rejection {
  return {
    detector: "parallel-steps",
    fingerprint: fingerprintOf(candidate),
    service: candidate.service,
    subject: `${candidate.first.node}, ${candidate.second.node}`,
    test,
    reason,
    file: candidate.file,
    line: candidate.line,
    traceIds: candidate.traceIds,
  };
}
