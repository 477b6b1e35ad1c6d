// Metrics over time: which there are, and one of them by step and group, with counter resets and both temporalities.
import type { TelemetryReader } from "../reader.ts";
import { type Conditions, rowConditions, type SpanFilter } from "./span-filter.ts";

export const metricKinds = ["gauge", "sum", "histogram", "exponential_histogram", "summary"] as const;
export type MetricKind = (typeof metricKinds)[number];

export type MetricFilter = Omit<SpanFilter, "deployment">;

export interface MetricInfo {
  name: string;
  kind: MetricKind;
  unit: string;
  description: string;
  services: string[];
  /** Different sets of attributes, about. */
  series: number;
  attributes: string[];
  /** Of a sum: it only grows, so that its rate is what tells. */
  monotonic: boolean;
}

export type MetricFunction = "average" | "min" | "max" | "rate" | "value";

export interface MetricQuestion {
  metric: string;
  kind: "gauge" | "sum" | "histogram";
  of: MetricFunction;
  groupBy?: string | undefined;
  points: number;
}

export interface MetricSeries {
  everyMs: number;
  /** Starts of the stretches, milliseconds since the epoch. */
  times: number[];
  series: { group: string; values: (number | null)[] }[];
  exemplars: { at: number; value: number; traceId: string }[];
}

const mostKeys = 50;
const mostGroups = 20;
const mostExemplars = 100;

export function metricConditions(filter: MetricFilter): Conditions {
  return rowConditions("TimeUnix", filter);
}

/** By name. */
export async function metricList(reader: TelemetryReader, filter: MetricFilter): Promise<MetricInfo[]> {
  const { where, params } = metricConditions(filter);
  const lists = await Promise.all(
    metricKinds.map(async (kind) => {
      const rows = await reader.query<Omit<MetricInfo, "kind" | "monotonic"> & { monotonic: number | boolean }>(
        `SELECT MetricName AS name, any(MetricUnit) AS unit, any(MetricDescription) AS description,
            arraySort(groupUniqArray(${mostKeys})(toString(ServiceName))) AS services,
            toUInt32(uniq(Attributes, ResourceAttributes)) AS series,
            arraySort(groupUniqArrayArray(${mostKeys})(arrayMap(key -> toString(key), mapKeys(Attributes)))) AS attributes,
            ${kind === "sum" ? "toUInt8(max(IsMonotonic))" : "0"} AS monotonic
          FROM otel_metrics_${kind} WHERE ${where} GROUP BY name`,
        params,
      );
      return rows.map((row) => ({ ...row, kind, monotonic: Boolean(row.monotonic) }));
    }),
  );
  return lists.flat().sort((a, b) => a.name.localeCompare(b.name));
}

/** How much was added since the point before of the same series; a value below it means that the process began anew. */
const increase = (column: string) =>
  `multiIf(AggregationTemporality = 1, ${column},
    row_number() OVER series > 1 AND ${column} >= lagInFrame(${column}) OVER series,
      ${column} - lagInFrame(${column}) OVER series,
    row_number() OVER series > 1 OR StartTimeUnix >= fromUnixTimestamp64Nano({since:Int64}), ${column}, 0)`;

const overSeries =
  "WINDOW series AS (PARTITION BY cityHash64(ServiceName, ScopeName, toString(Attributes), toString(ResourceAttributes)) ORDER BY TimeUnix ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)";

/**
 * One metric by step and group. What counters added is found for each series by itself and summed after, never before:
 * two instances are two series. A sum that may fall is the last value of each series in the step, summed.
 */
export async function metricSeries(
  reader: TelemetryReader,
  filter: MetricFilter,
  asked: MetricQuestion,
): Promise<MetricSeries> {
  const everyMs = Math.max(1_000, Math.ceil((filter.until - filter.since) / asked.points));
  const { where, params } = metricConditions(filter);
  const named = `${where} AND MetricName = {metric:String}`;
  const bound = {
    ...params,
    metric: asked.metric,
    first: Math.floor(filter.since),
    every: everyMs,
    key: asked.groupBy ?? "",
  };
  const group =
    asked.groupBy === undefined
      ? "''"
      : "multiIf({key:String} = 'service.name', toString(ServiceName), mapContains(Attributes, {key:String}), Attributes[{key:String}], ResourceAttributes[{key:String}])";
  const stretch = "toUInt32(intDiv(toUnixTimestamp64Milli(TimeUnix) - {first:Int64}, {every:Int64})) AS stretch";
  const rows = await reader.query<{ stretch: number; grp: string; value: number | null }>(
    statement(asked, { group, stretch, named, seconds: everyMs / 1_000 }),
    bound,
  );
  const exemplars = await reader.query<{ at: number; value: number; traceId: string }>(
    `SELECT toUnixTimestamp64Milli(at) AS at, value, traceId FROM otel_metrics_${asked.kind}
      ARRAY JOIN Exemplars.TimeUnix AS at, Exemplars.Value AS value, Exemplars.TraceId AS traceId
      WHERE ${named} AND traceId != '' ORDER BY at DESC LIMIT 1 BY traceId LIMIT ${mostExemplars}`,
    bound,
  );
  const count = Math.max(1, Math.ceil((filter.until - filter.since) / everyMs));
  const byGroup = new Map<string, (number | null)[]>();
  for (const { stretch: at, grp, value } of rows) {
    if (!byGroup.has(grp)) {
      if (byGroup.size >= mostGroups) continue;
      byGroup.set(grp, new Array<number | null>(count).fill(null));
    }
    if (at < count) byGroup.get(grp)![at] = value === null ? null : Number(value);
  }
  return {
    everyMs,
    times: Array.from({ length: count }, (_, at) => Math.floor(filter.since) + at * everyMs),
    series: [...byGroup].map(([name, values]) => ({ group: name, values })),
    exemplars: exemplars.map((one) => ({ ...one, at: Number(one.at) })).reverse(),
  };
}

function statement(
  { kind, of }: { kind: "gauge" | "sum" | "histogram"; of: MetricFunction },
  { group, stretch, named, seconds }: { group: string; stretch: string; named: string; seconds: number },
): string {
  const grouped = "GROUP BY stretch, grp ORDER BY grp, stretch";
  if (kind === "gauge") {
    const measure = of === "min" ? "min(Value)" : of === "max" ? "max(Value)" : "avg(Value)";
    return `SELECT ${stretch}, ${group} AS grp, ${measure} AS value FROM otel_metrics_gauge WHERE ${named} ${grouped}`;
  }
  if (kind === "sum" && of !== "rate") {
    return `SELECT stretch, grp, sum(last) AS value FROM (
      SELECT ${stretch}, ${group} AS grp, argMax(Value, TimeUnix) AS last FROM otel_metrics_sum WHERE ${named}
        GROUP BY stretch, grp, ServiceName, ScopeName, toString(Attributes), toString(ResourceAttributes)) ${grouped}`;
  }
  if (kind === "sum") {
    return `SELECT stretch, grp, sum(added) / ${seconds} AS value FROM (
      SELECT ${stretch}, ${group} AS grp, ${increase("Value")} AS added
        FROM otel_metrics_sum WHERE ${named} ${overSeries}) ${grouped}`;
  }
  const measure = of === "rate" ? `sum(records) / ${seconds}` : "if(sum(records) > 0, sum(total) / sum(records), NULL)";
  return `SELECT stretch, grp, ${measure} AS value FROM (
    SELECT ${stretch}, ${group} AS grp, ${increase("toFloat64(Count)")} AS records, ${increase("Sum")} AS total
      FROM otel_metrics_histogram WHERE ${named} ${overSeries}) ${grouped}`;
}
