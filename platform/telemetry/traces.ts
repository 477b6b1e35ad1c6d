// Traces: search for them, read one whole, count spans, and find the recordings of requests and runs.
import { TsdevError } from "../../sdk/errors.ts";
import { attributeCondition } from "./query/attribute-pairs.ts";
import {
  type OperationMetrics,
  type OperationPoint,
  operationMetrics,
  operationSeries,
} from "./query/operation-metrics.ts";
import { type ServiceMap, serviceMap } from "./query/service-map.ts";
import { entrySpan, rowConditions, type SpanFilter } from "./query/span-filter.ts";
import { type TraceView, traceView } from "./query/trace-view.ts";
import type { QueryParams, TelemetryReader } from "./reader.ts";
import { Recording } from "./recording.ts";
import { nanoseconds, toCursor } from "./time-range.ts";
import type { CodeFrame, Span, Trace, TraceSummary } from "./trace.ts";

/** Most spans of one trace that `getTrace` returns. */
export const traceSpanLimit = 5_000;

/** The reads of traces and recordings on one store. `organizationId` comes from the principal, never from an input. */
export interface Traces {
  search(organizationId: string, search: TraceSearch): Promise<TracePage>;
  get(organizationId: string, traceId: string): Promise<Trace | null>;
  spanCount(organizationId: string, filter: TraceFilter): Promise<number>;
  recordingsFor(organizationId: string, filter: RecordingFilter): Promise<Recording[]>;
  /** A whole trace with what is worked out of it. */
  view(organizationId: string, traceId: string): Promise<TraceView | null>;
  operations(filter: SpanFilter, limit: number): Promise<OperationMetrics[]>;
  series(
    filter: SpanFilter & { operation?: string | undefined },
    points: number,
  ): Promise<{ everyMs: number; points: OperationPoint[] }>;
  map(filter: SpanFilter): Promise<ServiceMap>;
}

export function openTraces({ reader }: { reader: TelemetryReader }): Traces {
  return {
    search: (organizationId, search) => searchTraces(reader, organizationId, search),
    get: (organizationId, traceId) => getTrace(reader, organizationId, traceId),
    spanCount: (organizationId, filter) => spanCount(reader, organizationId, filter),
    recordingsFor: (organizationId, filter) => recordingsFor(reader, organizationId, filter),
    view: async (organizationId, traceId) =>
      traceView(reader, organizationId, await getTrace(reader, organizationId, traceId)),
    operations: (filter, limit) => operationMetrics(reader, filter, limit),
    series: (filter, points) => operationSeries(reader, filter, points),
    map: (filter) => serviceMap(reader, filter),
  };
}

export interface TraceFilter {
  project: string;
  environment: string;
  deployment?: string;
  /** Milliseconds since the epoch. */
  since?: number;
}

export interface TraceSearch extends TraceFilter {
  /** Traces with an entry (a root, a request, a message) that took longer. */
  slowerThanMs?: number;
  /** Traces with a span that failed. */
  errorsOnly?: boolean;
  /** Traces with an entry that took at most so long. */
  fasterThanMs?: number;
  /** Part of the entry's route or name, such as `/orders/:id`. */
  route?: string;
  /** Traces with an entry of this service. */
  service?: string;
  /** Traces with this operation as an entry. */
  operation?: string;
  /** Traces with a span that has these, each as `key=value`. */
  attributes?: readonly string[];
  /** Milliseconds since the epoch: only those that began before. */
  until?: number;
  limit: number;
  cursor?: [start: string, traceId: string];
}

export interface TracePage {
  /** Newest first. */
  traces: TraceSummary[];
  /** For the page of older traces; null where there are none. */
  cursor: string | null;
}

interface SummaryRow {
  TraceId: string;
  name: string;
  service: string;
  deployment: string;
  start: string;
  end: string;
  spans: number;
  errors: number;
  databaseQueries: number;
}

/** The newest traces that fit, newest first. `organizationId` comes from the principal, never from an input. */
export async function searchTraces(
  reader: TelemetryReader,
  organizationId: string,
  search: TraceSearch,
): Promise<TracePage> {
  const { project, environment, deployment, since } = search;
  const { where, params } = rowConditions("otel_traces", { organizationId, project, environment, deployment, since });
  const entry = [entrySpan];
  if (search.slowerThanMs !== undefined) {
    entry.push("Duration > {slower:UInt64}");
    params.slower = nanoseconds(search.slowerThanMs);
  }
  if (search.route !== undefined && search.route !== "") {
    entry.push(
      "(position(SpanName, {route:String}) > 0 OR position(SpanAttributes['http.route'], {route:String}) > 0)",
    );
    params.route = search.route;
  }
  if (search.fasterThanMs !== undefined) {
    entry.push("Duration <= {faster:UInt64}");
    params.faster = nanoseconds(search.fasterThanMs);
  }
  if (search.until !== undefined) {
    entry.push("Timestamp < fromUnixTimestamp64Nano({until:Int64})");
    params.until = nanoseconds(search.until);
  }
  if (search.service !== undefined) {
    entry.push("ServiceName = {service:String}");
    params.service = search.service;
  }
  if (search.operation !== undefined) {
    entry.push("Operation = {operation:String}");
    params.operation = search.operation;
  }
  const attributes = attributeCondition("SpanAttributes", search.attributes ?? [], params);
  for (const condition of attributes) {
    entry.push(`TraceId IN (SELECT TraceId FROM otel_traces WHERE ${where} AND ${condition})`);
  }
  if (search.errorsOnly === true) {
    entry.push(`TraceId IN (SELECT TraceId FROM otel_traces WHERE ${where} AND StatusCode = 'Error')`);
  }
  const having =
    search.cursor === undefined ? "" : "HAVING (start, TraceId) < ({cursorStart:Int64}, {cursorTrace:String})";
  if (search.cursor !== undefined) [params.cursorStart, params.cursorTrace] = search.cursor;
  const found = await reader.query<{ TraceId: string; start: string }>(
    `SELECT TraceId, toUnixTimestamp64Nano(min(Timestamp)) AS start FROM otel_traces
      WHERE ${where} AND ${entry.join(" AND ")}
      GROUP BY TraceId ${having} ORDER BY start DESC, TraceId DESC LIMIT {limit:UInt32}`,
    { ...params, limit: search.limit + 1 },
  );
  const page = found.slice(0, search.limit);
  const last = page.at(-1);
  const rows = page.length === 0 ? [] : await summaries(reader, organizationId, search, page);
  const byId = new Map(rows.map((row) => [row.TraceId, row]));
  return {
    traces: page.flatMap(({ TraceId }) => {
      const row = byId.get(TraceId);
      return row === undefined ? [] : [toSummary(row)];
    }),
    cursor: found.length > search.limit && last !== undefined ? toCursor([String(last.start), last.TraceId]) : null,
  };
}

async function summaries(
  reader: TelemetryReader,
  organizationId: string,
  filter: TraceFilter,
  page: Array<{ TraceId: string; start: string }>,
): Promise<SummaryRow[]> {
  return reader.query<SummaryRow>(
    `SELECT TraceId,
        argMin(SpanName, (ParentSpanId != '', Timestamp)) AS name,
        argMin(ServiceName, (ParentSpanId != '', Timestamp)) AS service,
        argMin(Deployment, (ParentSpanId != '', Timestamp)) AS deployment,
        toString(toUnixTimestamp64Nano(min(Timestamp))) AS start,
        toString(max(toUnixTimestamp64Nano(Timestamp) + toInt64(Duration))) AS end,
        uniqExact(SpanId) AS spans,
        uniqExactIf(SpanId, StatusCode = 'Error') AS errors,
        uniqExactIf(SpanId, SpanAttributes['db.system.name'] != '' OR SpanAttributes['db.system'] != '') AS databaseQueries
      FROM otel_traces
      WHERE Organization = {organization:String} AND Project = {project:String} AND Environment = {environment:String}
        AND TraceId IN {ids:Array(String)}
      GROUP BY TraceId`,
    {
      organization: organizationId,
      project: filter.project,
      environment: filter.environment,
      ids: page.map((row) => row.TraceId),
    },
  );
}

interface SpanRow {
  start: string;
  SpanId: string;
  ParentSpanId: string;
  SpanName: string;
  SpanKind: string;
  ServiceName: string;
  Duration: number | string;
  StatusCode: string;
  StatusMessage: string;
  SpanAttributes: Record<string, string>;
  eventTimes: string[];
  eventNames: string[];
  eventAttributes: Array<Record<string, string>>;
}

/** A whole trace, oldest span first, or null where this organization has none of this id. */
export async function getTrace(
  reader: TelemetryReader,
  organizationId: string,
  traceId: string,
): Promise<Trace | null> {
  const params = { organization: organizationId, trace: traceId.toLowerCase() };
  const where = "Organization = {organization:String} AND TraceId = {trace:String}";
  const rows = await reader.query<SpanRow>(
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS start, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName,
        Duration, StatusCode, StatusMessage, SpanAttributes,
        arrayMap(t -> toString(toUnixTimestamp64Nano(t)), Events.Timestamp) AS eventTimes,
        Events.Name AS eventNames, Events.Attributes AS eventAttributes
      FROM otel_traces WHERE ${where}
      ORDER BY Timestamp, ParentSpanId != '', Duration DESC, SpanId LIMIT 1 BY SpanId LIMIT {limit:UInt32}`,
    { ...params, limit: traceSpanLimit },
  );
  if (rows.length === 0) return null;
  let omitted = 0;
  if (rows.length === traceSpanLimit) {
    const [total] = await reader.query<{ spans: number }>(
      `SELECT uniqExact(SpanId) AS spans FROM otel_traces WHERE ${where}`,
      params,
    );
    omitted = Math.max(0, (total?.spans ?? 0) - rows.length);
  }
  return { traceId: params.trace, spans: rows.map((row) => toSpan(params.trace, row)), omitted };
}

/** How many spans are stored. */
export async function spanCount(reader: TelemetryReader, organizationId: string, filter: TraceFilter): Promise<number> {
  const { where, params } = rowConditions("otel_traces", { ...filter, organizationId });
  const [row] = await reader.query<{ spans: number }>(
    `SELECT count() AS spans FROM otel_traces WHERE ${where}`,
    params,
  );
  return Number(row?.spans ?? 0);
}

export interface RecordingFilter {
  project: string;
  environment: string;
  kind: Recording["kind"];
  /** Only of this deployment. */
  deployment?: string;
  /** As `recordingName` makes it: `GET /orders/:id`, or the route alone; the workflow of a run. */
  name?: string;
  traceIds?: string[];
  /** Milliseconds since the epoch. */
  since?: number;
  limit: number;
}

/** The newest recordings that fit, newest first. */
export async function recordingsFor(
  reader: TelemetryReader,
  organizationId: string,
  filter: RecordingFilter,
): Promise<Recording[]> {
  const { project, environment, deployment, since } = filter;
  const own = rowConditions("recordings", { organizationId, project, environment, deployment, since });
  const parts = [own.where, "Kind = {kind:String}"];
  const params: QueryParams = { ...own.params, kind: filter.kind, limit: filter.limit };
  if (filter.name !== undefined) {
    parts.push("(Name = {name:String} OR substring(Name, position(Name, ' ') + 1) = {name:String})");
    params.name = filter.name;
  }
  if (filter.traceIds !== undefined) {
    parts.push("TraceId IN {traces:Array(String)}");
    params.traces = filter.traceIds;
  }
  const rows = await reader.query<{ Payload: string }>(
    `SELECT Payload FROM recordings WHERE ${parts.join(" AND ")}
      ORDER BY Timestamp DESC, SpanId DESC LIMIT 1 BY TraceId, SpanId, Payload LIMIT {limit:UInt32}`,
    params,
  );
  return rows.flatMap((row) => {
    const recording = Recording.safeParse(JSON.parse(row.Payload));
    // Written by an older version that knew other fields: of no use for a replay.
    return recording.success ? [recording.data] : [];
  });
}

function toSummary(row: SummaryRow): TraceSummary {
  const start = toMilliseconds(row.start);
  return {
    traceId: row.TraceId,
    name: row.name,
    service: row.service,
    deployment: row.deployment || null,
    start,
    durationMs: Number(BigInt(row.end) - BigInt(row.start)) / 1e6,
    spans: row.spans,
    errors: row.errors,
    databaseQueries: row.databaseQueries,
  };
}

const kinds: Record<string, Span["kind"]> = {
  Server: "server",
  Client: "client",
  Producer: "producer",
  Consumer: "consumer",
};

function toSpan(traceId: string, row: SpanRow): Span {
  return {
    traceId,
    spanId: row.SpanId,
    parentSpanId: row.ParentSpanId || null,
    name: row.SpanName,
    kind: kinds[row.SpanKind] ?? "internal",
    service: row.ServiceName,
    start: toMilliseconds(row.start),
    durationMs: Number(row.Duration) / 1e6,
    status: row.StatusCode === "Error" ? "error" : row.StatusCode === "Ok" ? "ok" : "unset",
    statusMessage: row.StatusMessage,
    attributes: row.SpanAttributes,
    events: row.eventNames.map((name, i) => ({
      time: toMilliseconds(row.eventTimes[i]!),
      name,
      attributes: row.eventAttributes[i]!,
    })),
  };
}

/** Where in the app's source a span came from, as the SDK noted it. */
export function codeFrame(span: Span): CodeFrame | null {
  const file = span.attributes["code.file.path"];
  const line = Number(span.attributes["code.line.number"]);
  if (file === undefined || !Number.isInteger(line)) return null;
  return { file, line, function: span.attributes["code.function.name"] ?? null };
}

/** Nanoseconds in text as milliseconds with fractions, exact to about a microsecond. */
function toMilliseconds(nanosecondsText: string): number {
  return Number(BigInt(nanosecondsText) / 1_000n) / 1_000;
}

/** The error for an id that this organization has no trace of. */
export function noTrace(traceId: string): TsdevError {
  return new TsdevError("not_found", {
    message: `no trace ${traceId}`,
    fix: "search for traces; spans are kept for 14 days, and a new one is there within seconds",
    path: "trace",
  });
}
