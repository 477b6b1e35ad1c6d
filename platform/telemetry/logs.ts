// Logs: search in what is stored, and follow what arrives.
import type { TelemetryStore } from "./clickhouse.ts";
import { find } from "./ingest/attribute-limits.ts";
import type { LogRow } from "./ingest/log-rows.ts";
import type { Tenant } from "./ingest/tables.ts";
import { type LogHistogram, logHistogram } from "./log-histogram.ts";
import { LogSink, type ProcessLine } from "./log-sink.ts";
import { LogSurroundings } from "./log-surroundings.ts";
import { attributeCondition } from "./query/attribute-pairs.ts";
import { type Conditions, rowConditions } from "./query/span-filter.ts";
import type { TelemetryReader } from "./reader.ts";
import { type Severity, severityNumber, severityOf } from "./severity.ts";
import { nanoseconds, toCursor } from "./time-range.ts";
import type { LogRecord } from "./trace.ts";

/** The log of one store: what processes print goes in, searches and followers get it out. */
export interface Logs {
  /** Takes lines; followers get them at once. Resolves when they are stored. */
  write(lines: readonly ProcessLine[]): Promise<void>;
  search(search: LogSearch): Promise<LogPage>;
  histogram(search: LogFilter & { since: number; until: number }, points: number): Promise<LogHistogram>;
  context(around: LogContext): Promise<LogRecord[]>;
  tail(filter: LogTail, signal: AbortSignal): AsyncIterable<FollowedRecord>;
  /** Stores what waits. */
  close(): Promise<void>;
}

/** `retentionDays` says for how many days an environment keeps its logs. */
export function openLogs(store: TelemetryStore, retentionDays?: (tenant: Tenant) => Promise<number>): Logs {
  const sink = new LogSink(store, retentionDays);
  return {
    write: (lines) => sink.write(lines),
    search: (search) => searchLogs(store.reader, search),
    histogram: (search, points) => logHistogram(store.reader, conditions({ ...search, limit: 0 }), search, points),
    context: (around) => logContext(store.reader, around),
    tail: (filter, signal) => tailLogs(store, filter, signal),
    close: () => sink.close(),
  };
}

/** Which records; `organizationId` comes from the principal, never from an input. */
export interface LogFilter {
  organizationId: string;
  project: string;
  environment: string;
  deployment?: string;
  /** Text in the body; in lower case throughout it is found in any case. */
  search?: string;
  /** This severity or a higher one. */
  severity?: Severity;
  service?: string;
  /** What was logged within this trace. */
  trace?: string;
  /** Each as `key=value`, of the record or its resource. */
  attributes?: readonly string[];
}

export interface LogTail extends LogFilter {
  /** Milliseconds since the epoch: those stored since then come first. */
  since?: number;
  /** So many lines of the same service and instance before and after each that arrives and fits; 0 by default. */
  context?: number;
  /** Of those that are stored. */
  limit?: number;
}

/** `context` is true of a line that did not fit, and stands beside one that did. */
export type FollowedRecord = LogRecord & { context: boolean };

/** Around a moment, whatever a search had left out. */
export interface LogContext extends Pick<LogFilter, "organizationId" | "project" | "environment" | "service"> {
  /** Nanoseconds since the epoch. */
  at: string;
  /** So many records before the moment, and so many of the moment and after it besides one. */
  before: number;
  after: number;
}

export interface LogSearch extends LogFilter {
  /** Milliseconds since the epoch. */
  since?: number;
  until?: number;
  limit: number;
  /** Sort key of the oldest record of the page before. */
  cursor?: [time: string, tie: string];
}

export interface LogPage {
  /** Newest last. */
  records: LogRecord[];
  /** For the page of older records; null where there are none. */
  cursor: string | null;
}

interface Row {
  time: string;
  tie: string;
  TraceId: string;
  SpanId: string;
  LogAttributes: Record<string, string>;
  SeverityNumber: number;
  ServiceName: string;
  Body: string;
  instance: string;
  stream: string;
  Deployment: string;
}

const columns = `toString(toUnixTimestamp64Nano(Timestamp)) AS time,
        toString(cityHash64(Body, TraceId, toString(LogAttributes))) AS tie,
        TraceId, SpanId, SeverityNumber, ServiceName, Body, Deployment, LogAttributes,
        ResourceAttributes['service.instance.id'] AS instance, LogAttributes['log.iostream'] AS stream`;

/** The newest records that fit, oldest of them first. */
export async function searchLogs(reader: TelemetryReader, search: LogSearch): Promise<LogPage> {
  const { where, params } = conditions(search);
  const rows = await reader.query<Row>(
    `SELECT ${columns}
      FROM otel_logs WHERE ${where}
      ORDER BY Timestamp DESC, cityHash64(Body, TraceId, toString(LogAttributes)) DESC
      LIMIT {limit:UInt32}`,
    { ...params, limit: search.limit + 1 },
  );
  const page = rows.slice(0, search.limit);
  const oldest = page.at(-1);
  return {
    records: page.reverse().map((row) => fromRow(row, search)),
    cursor: rows.length > search.limit && oldest !== undefined ? toCursor([oldest.time, oldest.tie]) : null,
  };
}

async function logContext(reader: TelemetryReader, around: LogContext): Promise<LogRecord[]> {
  const { where, params } = conditions({ ...around, limit: 0 });
  const part = (side: string, order: string, limit: number) =>
    reader.query<Row>(
      `SELECT ${columns} FROM otel_logs WHERE ${where} AND Timestamp ${side} fromUnixTimestamp64Nano({at:Int64})
        AND TimestampTime ${side[0]}= toDateTime(intDiv({at:Int64}, 1000000000))
        ORDER BY Timestamp ${order} LIMIT {limit:UInt32}`,
      { ...params, at: around.at, limit },
    );
  const [before, after] = await Promise.all([part("<", "DESC", around.before), part(">=", "ASC", around.after + 1)]);
  return [...before.reverse(), ...after].map((row) => fromRow(row, around));
}

function fromRow(row: Row, where: { project: string; environment: string }): LogRecord {
  return {
    time: new Date(Number(BigInt(row.time) / 1_000_000n)).toISOString(),
    nanoseconds: row.time,
    project: where.project,
    environment: where.environment,
    deployment: row.Deployment || null,
    instance: row.instance || null,
    service: row.ServiceName,
    severity: severityOf(row.SeverityNumber),
    stream: row.stream || null,
    text: row.Body,
    traceId: row.TraceId || null,
    spanId: row.SpanId || null,
    attributes: row.LogAttributes,
  };
}

function conditions(search: LogSearch): Conditions {
  const { where, params } = rowConditions("otel_logs", search);
  const parts = [where];
  if (search.trace !== undefined) {
    parts.push("TraceId = {trace:String}");
    params.trace = search.trace.toLowerCase();
  }
  parts.push(...attributeCondition("LogAttributes", search.attributes ?? [], params));
  if (search.severity !== undefined) {
    // A severity of 0 is not known and counts as info.
    parts.push("if(SeverityNumber = 0, 9, SeverityNumber) >= {severity:UInt8}");
    params.severity = severityNumber(search.severity);
  }
  if (search.search !== undefined && search.search !== "") {
    // The index of three-letter pieces serves LIKE alone.
    const anyCase = search.search === search.search.toLowerCase();
    parts.push(anyCase ? "positionCaseInsensitiveUTF8(Body, {search:String}) > 0" : "Body LIKE {search:String}");
    params.search = anyCase ? search.search : `%${search.search.replaceAll(/[\\%_]/g, "\\$&")}%`;
  }
  if (search.cursor !== undefined) {
    parts.push(
      `(Timestamp, cityHash64(Body, TraceId, toString(LogAttributes)))
        < (fromUnixTimestamp64Nano({cursorTime:Int64}), {cursorTie:UInt64})`,
    );
    [params.cursorTime, params.cursorTie] = search.cursor;
  }
  return { where: parts.join(" AND "), params };
}

/**
 * Records as they arrive, until the signal aborts; with `since`, those stored before come first, each once and without
 * lines around them. A follower that is too slow gets a record that says how many were left out.
 */
export async function* tailLogs(
  store: TelemetryStore,
  filter: LogTail,
  signal: AbortSignal,
): AsyncGenerator<FollowedRecord> {
  const { since, context = 0 } = filter;
  const past = since !== undefined;
  const { organizationId, project, environment, deployment, service } = filter;
  const surrounding = { organizationId, project, environment, deployment, service };
  const heard: LogFilter = context > 0 ? surrounding : filter;
  // Rows that are published but not stored yet are in neither a search nor the future.
  const feed = store.logFeed.follow((row) => matches(row, heard), signal, { recent: past });
  const shown = new Map<string, number>();
  let from = past ? since : 0;
  if (past) {
    const before = await searchLogs(store.reader, { ...filter, limit: filter.limit ?? 1_000 });
    if (before.cursor !== null) from = Date.parse(before.records[0]!.time);
    for (const record of before.records) {
      shown.set(identity(record), (shown.get(identity(record)) ?? 0) + 1);
      yield { ...record, context: false };
    }
  }
  const isShown = (row: LogRow) => {
    const name = identity(toRecord(row));
    const count = shown.get(name) ?? 0;
    if (count > 0) shown.set(name, count - 1);
    return count > 0;
  };
  const wanted = (row: LogRow) => matches(row, filter) && Number(row.time / 1_000_000n) >= from;
  const around = new LogSurroundings(context, wanted, (row) =>
    JSON.stringify([row.service, find(row.resource, "service.instance.id")]),
  );
  for await (const item of feed) {
    if ("skipped" in item) {
      yield {
        ...notice(filter, `${item.skipped} lines were left out: they came faster than they were read`),
        context: false,
      };
      continue;
    }
    if (past && isShown(item.row)) continue;
    for (const one of around.take(item.row)) yield { ...toRecord(one.row), context: one.context };
  }
}

function matches(row: LogRow, filter: LogFilter): boolean {
  if (row.tenant.organizationId !== filter.organizationId) return false;
  if (row.tenant.project !== filter.project || row.tenant.environment !== filter.environment) return false;
  if (filter.deployment !== undefined && row.deployment !== filter.deployment) return false;
  if (filter.severity !== undefined && (row.severityNumber || 9) < severityNumber(filter.severity)) return false;
  if (filter.service !== undefined && row.service !== filter.service) return false;
  if (filter.trace !== undefined && row.traceId !== filter.trace.toLowerCase()) return false;
  for (const pair of filter.attributes ?? []) {
    const [key, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
    if (find(row.attributes, key) !== value && find(row.resource, key) !== value) return false;
  }
  if (filter.search === undefined || filter.search === "") return true;
  const anyCase = filter.search === filter.search.toLowerCase();
  return (anyCase ? row.body.toLowerCase() : row.body).includes(filter.search);
}

function toRecord(row: LogRow): LogRecord {
  return {
    time: new Date(Number(row.time / 1_000_000n)).toISOString(),
    nanoseconds: String(row.time),
    project: row.tenant.project,
    environment: row.tenant.environment,
    deployment: row.deployment || null,
    instance: find(row.resource, "service.instance.id") || null,
    service: row.service,
    severity: severityOf(row.severityNumber),
    stream: find(row.attributes, "log.iostream") || null,
    text: row.body,
    traceId: row.traceId || null,
    spanId: row.spanId || null,
    attributes: Object.fromEntries(row.attributes),
  };
}

function identity(record: LogRecord): string {
  return JSON.stringify([record.time, record.instance, record.stream, record.text]);
}

function notice(filter: LogFilter, text: string): LogRecord {
  return {
    time: new Date().toISOString(),
    nanoseconds: nanoseconds(Date.now()),
    project: filter.project,
    environment: filter.environment,
    deployment: filter.deployment ?? null,
    instance: null,
    service: "tsdev",
    severity: "warn",
    stream: null,
    text,
    traceId: null,
    spanId: null,
    attributes: {},
  };
}
