// Which data points of a metric a question is about, how they are grouped, and the exemplars among them.
import { z } from "zod";
import type { TelemetryReader } from "../reader.ts";
import { type Conditions, rowConditions, type SpanFilter } from "./span-filter.ts";

export const metricKinds = ["gauge", "sum", "histogram", "exponential_histogram", "summary"] as const;
export type MetricKind = (typeof metricKinds)[number];

export type MetricFilter = Omit<SpanFilter, "deployment">;

/** Data points of one metric; `attributes` are read as `AttributeFilters` says, and all of them hold. */
export interface MetricSelection {
  metric: string;
  kind: MetricKind;
  attributes?: readonly string[] | undefined;
  groupBy?: readonly string[] | undefined;
}

export interface Exemplar {
  /** Milliseconds since the epoch. */
  at: number;
  value: number;
  traceId: string;
}

/** Most groups of one answer. */
export const mostGroups = 20;
const mostExemplars = 100;

const AttributeFilter = z
  .string()
  .max(600)
  .regex(/^(![^=!]+|[^=!][^=]*(=.*)?)$/s, "an attribute filter is key=value, key!=value, key or !key");

export const AttributeFilters = z.array(AttributeFilter).max(8).meta({
  description: "all of these hold: key=value, key!=value (also where it has no such key), key (it has one), !key",
});

export const GroupBy = z
  .array(z.string().min(1).max(300))
  .max(4)
  .meta({ description: `attributes, or service.name; ${mostGroups} groups at most` });

export function metricConditions(filter: MetricFilter): Conditions {
  return rowConditions("otel_metrics", filter);
}

/** The conditions of a selection, and its group as an expression of the type Array(String). */
export function selected(filter: MetricFilter, asked: MetricSelection): Conditions & { group: string } {
  const { where, params } = metricConditions(filter);
  const parts = [where, "MetricName = {metric:String}"];
  params.metric = asked.metric;
  for (const [index, text] of (asked.attributes ?? []).entries()) {
    const { key, sign, value } = parsed(text);
    const [name, wanted] = [`filterKey${index}`, `filterValue${index}`];
    params[name] = key;
    if (sign === "=" || sign === "!=") params[wanted] = value;
    parts.push(conditionOf(sign, `{${name}:String}`, `{${wanted}:String}`));
  }
  const keys = (asked.groupBy ?? []).map((key, index) => {
    params[`groupKey${index}`] = key;
    return textOf(`{groupKey${index}:String}`);
  });
  return { where: parts.join(" AND "), params, group: `CAST([${keys.join(", ")}], 'Array(String)')` };
}

type Sign = "=" | "!=" | "present" | "absent";

function parsed(text: string): { key: string; sign: Sign; value: string } {
  const at = text.indexOf("=");
  if (at < 0) {
    return text.startsWith("!")
      ? { key: text.slice(1), sign: "absent", value: "" }
      : { key: text, sign: "present", value: "" };
  }
  const not = text[at - 1] === "!";
  return { key: text.slice(0, not ? at - 1 : at), sign: not ? "!=" : "=", value: text.slice(at + 1) };
}

/** The name of a service is a column of its own as well as an attribute of the resource. */
const has = (key: string) =>
  `(${key} = 'service.name' OR mapContains(Attributes, ${key}) OR mapContains(ResourceAttributes, ${key}))`;

const textOf = (key: string) =>
  `multiIf(${key} = 'service.name', toString(ServiceName),
    mapContains(Attributes, ${key}), toString(Attributes[${key}]), toString(ResourceAttributes[${key}]))`;

function conditionOf(sign: Sign, key: string, value: string): string {
  if (sign === "present") return has(key);
  if (sign === "absent") return `NOT ${has(key)}`;
  const equal = `(${has(key)} AND ${textOf(key)} = ${value})`;
  return sign === "=" ? equal : `NOT ${equal}`;
}

/** Of a selection those that name a trace, one of each trace, in the order of time. A summary has none. */
export async function metricExemplars(
  reader: TelemetryReader,
  kind: MetricKind,
  { where, params }: Conditions,
): Promise<Exemplar[]> {
  if (kind === "summary") return [];
  const rows = await reader.query<Exemplar>(
    `SELECT toUnixTimestamp64Milli(at) AS at, value, traceId FROM otel_metrics_${kind}
      ARRAY JOIN Exemplars.TimeUnix AS at, Exemplars.Value AS value, Exemplars.TraceId AS traceId
      WHERE ${where} AND traceId != '' ORDER BY at DESC LIMIT 1 BY traceId LIMIT ${mostExemplars}`,
    params,
  );
  return rows.map((one) => ({ ...one, at: Number(one.at) })).reverse();
}
