// n-plus-one: one statement repeated under one parent span, once for each row of a list.
import { z } from "zod";
import { analyzer, scopeCondition, scopeParams } from "./analyzer.ts";
import type { Finding, Rejection, SourcePlace } from "./finding.ts";
import { fingerprint } from "./fingerprint.ts";
import { framesOf, relativeFile } from "./frames.ts";
import { isQuery, type OperationTimes, operationTimes, traceOperations } from "./operations.ts";
import { describeStatement, type Statement } from "./statement.ts";

export const NPlusOneOptions = z.object({
  /** Repeats of one statement under one parent that make it an N+1; five, as Sentry and perf-sentinel have it. */
  minRepeats: z.int().min(2).default(5),
  /** Time that batching would have saved over all seen requests, milliseconds (Sentry: 50 in one request). */
  minWastedMs: z.number().default(50),
  /** Queries in one request that make it worth an explanation when it is no N+1. */
  suspiciousQueries: z.int().default(5),
});
export type NPlusOneOptions = z.infer<typeof NPlusOneOptions>;

/** A statement that repeats from one place, or (`repeat` null) requests with many queries that do not repeat. */
export interface NPlusOneCandidate {
  service: string;
  operation: string;
  /** Requests or runs of the operation in the period, and their duration. */
  requests: number;
  p50Ms: number;
  p95Ms: number;
  /** Requests in which this was seen. */
  occurrences: number;
  file: string | null;
  line: number | null;
  traceIds: string[];
  repeat: {
    /** One text as it was sent. */
    text: string;
    /** Normalised by ClickHouse: literals replaced, white space collapsed. */
    normalised: string;
    system: string;
    statement: Statement;
    repeats: { median: number; max: number };
    /** Union of the repeats' time, less one query, summed over all requests. */
    wastedMs: number;
    frames: SourcePlace[];
  } | null;
  /** Queries a request and how many of them differ, for the explanation. */
  queries: { median: number; distinct: number };
}

interface RepeatRow {
  service: string;
  operation: string;
  occurrences: number;
  medianRepeats: number;
  maxRepeats: number;
  wastedMs: number;
  queryText: string;
  normalised: string;
  system: string;
  siteFile: string;
  siteLine: string;
  codeFrames: string;
  traceIds: string[];
}

interface ManyRow {
  service: string;
  operation: string;
  occurrences: number;
  medianQueries: number;
  medianDistinct: number;
  siteFile: string;
  siteLine: string;
  traceIds: string[];
}

/**
 * From a parent span and its trace: a step's queries belong to its workflow, others to the endpoint. Empty for a trace
 * whose root has not come yet: half a trace says nothing about what it worked for.
 */
const operationOf = `multiIf(
    p.workflow != '', p.workflow,
    p.inProcedure AND o.workflow != '', o.workflow,
    o.endpoint != '', o.endpoint, o.workflow != '', o.workflow, o.rootName)`;

function parents(where: string, traces: string): string {
  return `SELECT TraceId AS trace, SpanId AS span, SpanAttributes['tsdev.workflow.name'] AS workflow,
      match(SpanName, '^(procedure|attempt|step) ') AS inProcedure
    FROM otel_traces WHERE ${where} AND TraceId IN (SELECT trace FROM ${traces})`;
}

function repeatsSql(where: string): string {
  // Phase one keeps only narrow integers in its aggregation state; texts are read for the few groups that repeat.
  return `WITH repeated AS (
      SELECT N1Key FROM otel_traces WHERE ${where} AND N1Key != 0 GROUP BY N1Key HAVING count() >= {few:UInt32}
    ), groups AS (
      SELECT any(TraceId) AS trace, any(ParentSpanId) AS parent, any(ServiceName) AS service, any(StmtHash) AS hash,
        SpanAttributes['code.file.path'] AS siteFile, SpanAttributes['code.line.number'] AS siteLine, count() AS repeats,
        intervalLengthSum(toUnixTimestamp64Nano(Timestamp), toUnixTimestamp64Nano(Timestamp) + toInt64(Duration)) / 1e6
          AS unionMs,
        any(SpanAttributes['db.query.text']) AS queryText, any(SpanAttributes['db.system.name']) AS system,
        any(SpanAttributes['tsdev.code.frames']) AS codeFrames
      FROM otel_traces WHERE ${where} AND N1Key IN (SELECT N1Key FROM repeated) AND ${isQuery}
      GROUP BY N1Key, siteFile, siteLine HAVING repeats >= {few:UInt32}
    )
    SELECT g.service AS service, ${operationOf} AS operation,
      uniqExactIf(g.trace, g.repeats >= {minRepeats:UInt32}) AS strong, uniqExact(g.trace) AS weak,
      if(strong > 0, strong, weak) AS occurrences,
      if(strong > 0, quantileExactIf(0.5)(g.repeats, g.repeats >= {minRepeats:UInt32}), quantileExact(0.5)(g.repeats))
        AS medianRepeats,
      max(g.repeats) AS maxRepeats,
      sumIf(g.unionMs * (g.repeats - 1) / g.repeats, g.repeats >= {minRepeats:UInt32}) AS wastedMs,
      argMax(g.queryText, g.repeats) AS queryText, normalizeQuery(queryText) AS normalised, any(g.system) AS system,
      g.siteFile AS siteFile, g.siteLine AS siteLine, argMax(g.codeFrames, g.repeats) AS codeFrames,
      arraySlice(arrayDistinct(arrayMap(x -> x.2, arrayReverseSort(x -> x.1, groupArray(200)((g.repeats, g.trace))))), 1, 3)
        AS traceIds
    FROM groups AS g
    LEFT JOIN (${parents(where, "groups")}) AS p ON p.trace = g.trace AND p.span = g.parent
    LEFT JOIN (${traceOperations(`${where} AND TraceId IN (SELECT trace FROM groups)`)}) AS o
      ON o.trace = g.trace AND o.service = g.service
    GROUP BY service, operation, g.hash, siteFile, siteLine HAVING operation != ''
    ORDER BY wastedMs DESC LIMIT 200`;
}

// Of a statement that does not repeat the SDK takes the place only once in a while.
const hasSite = "SpanAttributes['code.file.path'] != ''";

function manyQueriesSql(where: string): string {
  return `WITH statements AS (
      SELECT TraceId AS trace, ParentSpanId AS parent, StmtHash, any(ServiceName) AS service, count() AS repeats,
        min(Timestamp) AS first, argMinIf(SpanAttributes['code.file.path'], Timestamp, ${hasSite}) AS siteFile,
        argMinIf(SpanAttributes['code.line.number'], Timestamp, ${hasSite}) AS siteLine
      FROM otel_traces WHERE ${where} AND ${isQuery} GROUP BY trace, parent, StmtHash
    ), groups AS (
      SELECT trace, parent, any(service) AS service, sum(repeats) AS queries, count() AS distincts,
        max(repeats) AS maxRepeats, argMinIf(s.siteFile, s.first, s.siteFile != '') AS siteFile,
        argMinIf(s.siteLine, s.first, s.siteFile != '') AS siteLine
      FROM statements AS s GROUP BY trace, parent HAVING queries >= {suspicious:UInt32} AND maxRepeats < {few:UInt32}
    )
    SELECT g.service AS service, ${operationOf} AS operation, uniqExact(g.trace) AS occurrences,
      quantileExact(0.5)(g.queries) AS medianQueries, quantileExact(0.5)(g.distincts) AS medianDistinct,
      topKIf(1)((g.siteFile, g.siteLine), g.siteFile != '')[1] AS site, site.1 AS siteFile, site.2 AS siteLine,
      groupUniqArray(3)(g.trace) AS traceIds
    FROM groups AS g
    LEFT JOIN (${parents(where, "groups")}) AS p ON p.trace = g.trace AND p.span = g.parent
    LEFT JOIN (${traceOperations(`${where} AND TraceId IN (SELECT trace FROM groups)`)}) AS o
      ON o.trace = g.trace AND o.service = g.service
    GROUP BY service, operation HAVING operation != '' ORDER BY occurrences DESC LIMIT 50`;
}

/** Repeats from here on are looked at; below the limit they end as a rejection. */
const fewRepeats = 3;

export const nPlusOne = analyzer<NPlusOneCandidate, typeof NPlusOneOptions>({
  id: "n-plus-one",
  title: "N+1 queries",
  options: NPlusOneOptions,

  async candidates(reader, scope, options) {
    const where = scopeCondition(scope);
    const params = {
      ...scopeParams(scope),
      few: Math.min(fewRepeats, options.minRepeats),
      minRepeats: options.minRepeats,
      suspicious: options.suspiciousQueries,
    };
    const repeats = await reader.query<RepeatRow>(repeatsSql(where), params);
    const many = await reader.query<ManyRow>(manyQueriesSql(where), params);
    if (repeats.length === 0 && many.length === 0) return [];
    const times = new Map<string, OperationTimes>();
    for (const row of await reader.query<OperationTimes>(operationTimes(where), params)) {
      times.set(JSON.stringify([row.service, row.operation]), row);
    }
    const common = (row: RepeatRow | ManyRow) => {
      const seen = times.get(JSON.stringify([row.service, row.operation]));
      return {
        service: row.service,
        operation: row.operation,
        requests: Math.max(seen?.requests ?? 0, row.occurrences),
        p50Ms: seen?.p50Ms ?? 0,
        p95Ms: seen?.p95Ms ?? 0,
        occurrences: row.occurrences,
        file: relativeFile(row.siteFile),
        line: row.siteLine === "" ? null : Number(row.siteLine),
        traceIds: row.traceIds,
      };
    };
    const repeating = new Set(repeats.map((row) => JSON.stringify([row.service, row.operation])));
    return [
      ...repeats.map((row) => ({
        ...common(row),
        repeat: {
          text: row.queryText,
          normalised: row.normalised,
          system: row.system,
          statement: describeStatement(row.queryText),
          repeats: { median: row.medianRepeats, max: row.maxRepeats },
          wastedMs: row.wastedMs,
          frames: framesOf(row.codeFrames, row.siteFile, row.siteLine),
        },
        queries: { median: row.medianRepeats, distinct: 1 },
      })),
      ...many
        .filter((row) => !repeating.has(JSON.stringify([row.service, row.operation])))
        .map((row) => ({
          ...common(row),
          repeat: null,
          queries: { median: row.medianQueries, distinct: row.medianDistinct },
        })),
    ];
  },

  judge(candidate, options) {
    const { repeat } = candidate;
    if (repeat === null) {
      const { median, distinct } = candidate.queries;
      const differ = distinct >= median ? "all different" : `${distinct} of them different, none repeated in a loop`;
      return reject(candidate, "different-queries", `${median} queries, ${differ}`);
    }
    if (repeat.statement.paging !== null) {
      const how = repeat.statement.paging === "offset" ? "by offset" : "from where the last one ended";
      return reject(candidate, "pages-of-one-list", `${repeat.repeats.median} pages of one list, each read ${how}`);
    }
    if (repeat.repeats.max < options.minRepeats) {
      const times = `${repeat.repeats.max} times at most`;
      return reject(candidate, "few-repeats", `the same query ${times}, ${options.minRepeats} are needed`);
    }
    const { kind, writes } = repeat.statement;
    if (kind !== "select" || writes.length > 0) {
      const what = kind === "select" ? "writes or locks rows" : `is ${kind.toUpperCase()}`;
      return reject(candidate, "writes", `the repeated statement ${what}: batching it changes locks and order`);
    }
    if (repeat.wastedMs < options.minWastedMs) {
      const cost = `${repeat.wastedMs.toFixed(1)} ms in ${candidate.occurrences} requests`;
      return reject(candidate, "too-little-time", `the repeats cost ${cost}, less than ${options.minWastedMs} ms`);
    }
    return {
      detector: "n-plus-one",
      fingerprint: fingerprintOf(candidate),
      service: candidate.service,
      title: `N+1 in ${candidate.operation}: one query for each of ${repeat.repeats.median} rows`,
      file: candidate.file,
      line: candidate.line,
      occurrences: candidate.occurrences,
      of: candidate.requests,
      wastedMs: repeat.wastedMs,
      p50Ms: candidate.p50Ms,
      p95Ms: candidate.p95Ms,
      traceIds: candidate.traceIds,
      evidence: {
        kind: "n-plus-one",
        statement: repeat.normalised,
        databaseSystem: repeat.system,
        repeats: repeat.repeats,
        frames: repeat.frames,
        operation: candidate.operation,
      },
    } satisfies Finding;
  },
});

function fingerprintOf(candidate: NPlusOneCandidate): string {
  const statement = candidate.repeat?.normalised ?? "";
  return fingerprint("n-plus-one", candidate.service, candidate.operation, statement, candidate.file ?? "");
}

function reject(candidate: NPlusOneCandidate, test: string, reason: string): Rejection {
  return {
    detector: "n-plus-one",
    fingerprint: fingerprintOf(candidate),
    service: candidate.service,
    subject: candidate.operation,
    test,
    reason,
    file: candidate.file,
    line: candidate.line,
    traceIds: candidate.traceIds,
  };
}
