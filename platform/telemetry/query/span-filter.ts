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

export function spanConditions(filter: SpanFilter): Conditions {
  const { where, params } = rowConditions("Timestamp", filter);
  // The primary key has whole seconds.
  return { where: `${where} AND toDateTime(Timestamp) >= toDateTime(intDiv({since:Int64}, 1000000000))`, params };
}

/** As `SpanFilter`, where the time may be open at either end. */
export type RowFilter = Omit<SpanFilter, "since" | "until"> & {
  since?: number | undefined;
  until?: number | undefined;
};

/** Of a table whose rows have their time in this column. */
export function rowConditions(time: "Timestamp" | "TimeUnix", filter: RowFilter): Conditions {
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
    params.since = nanoseconds(filter.since);
  }
  if (filter.until !== undefined) {
    parts.push(`${time} < fromUnixTimestamp64Nano({until:Int64})`);
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

/** A span that begins work in its service: a request, a message, or the first of its trace. */
export const entrySpan = "(SpanKind IN ('Server', 'Consumer') OR ParentSpanId = '')";
