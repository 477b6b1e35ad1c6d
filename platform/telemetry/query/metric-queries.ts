// Metrics over time: which there are, and one of them by step and group, with counter resets and both temporalities.
import type { TelemetryReader } from "../reader.ts";
import {
  type Exemplar,
  type MetricFilter,
  type MetricKind,
  type MetricSelection,
  metricConditions,
  metricExemplars,
  metricKinds,
  mostGroups,
  selected,
} from "./metric-selection.ts";

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

export const metricFunctions = ["average", "min", "max", "rate", "value", "quantiles"] as const;
export type MetricFunction = (typeof metricFunctions)[number];

export interface MetricQuestion extends MetricSelection {
  of: MetricFunction;
  points: number;
}

export interface MetricSeries {
  everyMs: number;
  /** Starts of the stretches, milliseconds since the epoch. */
  times: number[];
  /** `group` has a value for each key of `groupBy`, and after them the quantile where those of a summary are asked for. */
  series: { group: string[]; values: (number | null)[] }[];
  /** Groups that are left out because there are too many. */
  omittedGroups: number;
  exemplars: Exemplar[];
}

const mostKeys = 50;

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
const increase = (column: string, delta = "AggregationTemporality = 1") =>
  `multiIf(${delta}, ${column},
    row_number() OVER series > 1 AND ${column} >= lagInFrame(${column}) OVER series,
      ${column} - lagInFrame(${column}) OVER series,
    row_number() OVER series > 1 OR StartTimeUnix >= fromUnixTimestamp64Nano({since:Int64}), ${column}, 0)`;

const overSeries =
  "WINDOW series AS (PARTITION BY cityHash64(ServiceName, ScopeName, toString(Attributes), toString(ResourceAttributes)) ORDER BY TimeUnix ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)";

/**
 * One metric by step and group. What counters added is found for each series by itself and summed after, never before:
 * two instances are two series. A sum that may fall is the last value of each series in the step, summed. The quantiles
 * of a summary are averaged over the step and its series, as those of a gauge are.
 */
export async function metricSeries(
  reader: TelemetryReader,
  filter: MetricFilter,
  asked: MetricQuestion,
): Promise<MetricSeries> {
  const everyMs = Math.max(1_000, Math.ceil((filter.until - filter.since) / asked.points));
  const { where, params, group } = selected(filter, asked);
  const stretch = "toUInt32(intDiv(toUnixTimestamp64Milli(TimeUnix) - {first:Int64}, {every:Int64})) AS stretch";
  const rows = await reader.query<{ stretch: number; grp: string[]; value: number | null }>(
    statement(asked, { group, stretch, where, seconds: everyMs / 1_000 }),
    { ...params, first: Math.floor(filter.since), every: everyMs },
  );
  const count = Math.max(1, Math.ceil((filter.until - filter.since) / everyMs));
  const series = new Map<string, { group: string[]; values: (number | null)[] }>();
  for (const { stretch: at, grp, value } of rows) {
    const name = JSON.stringify(grp);
    const one = series.get(name) ?? { group: grp, values: new Array<number | null>(count).fill(null) };
    series.set(name, one);
    if (at < count) one.values[at] = value === null ? null : Number(value);
  }
  return {
    everyMs,
    times: Array.from({ length: count }, (_, at) => Math.floor(filter.since) + at * everyMs),
    series: [...series.values()].slice(0, mostGroups),
    omittedGroups: Math.max(0, series.size - mostGroups),
    exemplars: await metricExemplars(reader, asked.kind, { where, params }),
  };
}

function statement(
  { kind, of }: { kind: MetricKind; of: MetricFunction },
  { group, stretch, where, seconds }: { group: string; stretch: string; where: string; seconds: number },
): string {
  const grouped = "GROUP BY stretch, grp ORDER BY grp, stretch";
  if (kind === "gauge") {
    const measure = of === "min" ? "min(Value)" : of === "max" ? "max(Value)" : "avg(Value)";
    return `SELECT ${stretch}, ${group} AS grp, ${measure} AS value FROM otel_metrics_gauge WHERE ${where} ${grouped}`;
  }
  if (kind === "sum" && of !== "rate") {
    return `SELECT stretch, grp, sum(last) AS value FROM (
      SELECT ${stretch}, ${group} AS grp, argMax(Value, TimeUnix) AS last FROM otel_metrics_sum WHERE ${where}
        GROUP BY stretch, grp, ServiceName, ScopeName, toString(Attributes), toString(ResourceAttributes)) ${grouped}`;
  }
  if (kind === "sum") {
    return `SELECT stretch, grp, sum(added) / ${seconds} AS value FROM (
      SELECT ${stretch}, ${group} AS grp, ${increase("Value")} AS added
        FROM otel_metrics_sum WHERE ${where} ${overSeries}) ${grouped}`;
  }
  if (kind === "summary" && of === "quantiles") {
    return `SELECT ${stretch}, arrayPushBack(${group}, toString(quantile)) AS grp, avg(measured) AS value
      FROM otel_metrics_summary
      ARRAY JOIN ValueAtQuantiles.Quantile AS quantile, ValueAtQuantiles.Value AS measured
      WHERE ${where} AND NOT isNaN(measured) ${grouped}`;
  }
  // A summary's count and sum only grow: OTLP has no temporality of it.
  const added = (column: string) => (kind === "summary" ? increase(column, "0") : increase(column));
  const measure = of === "rate" ? `sum(records) / ${seconds}` : "if(sum(records) > 0, sum(total) / sum(records), NULL)";
  return `SELECT stretch, grp, ${measure} AS value FROM (
    SELECT ${stretch}, ${group} AS grp, ${added("toFloat64(Count)")} AS records, ${added("Sum")} AS total
      FROM otel_metrics_${kind} WHERE ${where} ${overSeries}) ${grouped}`;
}
