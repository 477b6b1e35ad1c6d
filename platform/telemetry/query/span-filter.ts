// Which rows of an environment a question is about, as a condition in SQL with its values.
import type { QueryParams } from "../reader.ts";
import { nanoseconds } from "../time-range.ts";

/** `organizationId` comes from the principal, never from an input. Times are milliseconds since the epoch. */
export interface SpanFilter {
  organizationId: string;
  project: string;
  environment: string;
  deployment?: string | undefined;
  service?: string | undefined;
  since: number;
  until: number;
}

export interface Conditions {
  where: string;
  params: QueryParams;
}

/** As `SpanFilter`, where the time may be open at either end. */
export type RowFilter = Omit<SpanFilter, "since" | "until"> & {
  since?: number | undefined;
  until?: number | undefined;
};

/**
 * Where a row's time stands, and as whole seconds where the primary key has those as a column of their own. Of
 * `toDateTime(Timestamp)` in a key ClickHouse works them out by itself.
 */
const times = {
  otel_traces: { time: "Timestamp", seconds: undefined },
  otel_logs: { time: "Timestamp", seconds: "TimestampTime" },
  otel_metrics: { time: "TimeUnix", seconds: undefined },
  recordings: { time: "Timestamp", seconds: undefined },
} as const;

export function rowConditions(table: keyof typeof times, filter: RowFilter): Conditions {
  const { time, seconds } = times[table];
  const parts = [
    "Organization = {organization:String} AND Project = {project:String} AND Environment = {environment:String}",
  ];
  const params: QueryParams = {
    organization: filter.organizationId,
    project: filter.project,
    environment: filter.environment,
  };
  if (filter.since !== undefined) {
    parts.push(`${time} >= fromUnixTimestamp64Nano({since:Int64})`);
    if (seconds !== undefined) {
      parts.push(`${seconds} >= toDateTime({sinceSecond:UInt32})`);
      params.sinceSecond = wholeSecond(filter.since);
    }
    params.since = nanoseconds(filter.since);
  }
  if (filter.until !== undefined) {
    parts.push(`${time} < fromUnixTimestamp64Nano({until:Int64})`);
    if (seconds !== undefined) {
      parts.push(`${seconds} <= toDateTime({untilSecond:UInt32})`);
      params.untilSecond = wholeSecond(filter.until);
    }
    params.until = nanoseconds(filter.until);
  }
  if (filter.deployment !== undefined) {
    parts.push("Deployment = {deployment:String}");
    params.deployment = filter.deployment;
  }
  if (filter.service !== undefined) {
    parts.push("ServiceName = {service:String}");
    params.service = filter.service;
  }
  return { where: parts.join(" AND "), params };
}

/** Within what ClickHouse's DateTime can be. */
function wholeSecond(ms: number): number {
  return Math.min(Math.max(Math.floor(ms / 1_000), 0), 2 ** 32 - 1);
}

/** A span that begins work in its service: a request, a message, or the first of its trace. */
export const entrySpan = "(SpanKind IN ('Server', 'Consumer') OR ParentSpanId = '')";
