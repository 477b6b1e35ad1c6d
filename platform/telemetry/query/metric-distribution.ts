// A histogram metric over time: quantiles and a heat map of what was recorded in each stretch, of all its instances.
import { TsdevError } from "../../../sdk/errors.ts";
import type { TelemetryReader } from "../reader.ts";
import { addedSince, type Bucket, bucketsOf, type Distribution, quantileOf, sumOf } from "./distribution.ts";
import {
  type Exemplar,
  type MetricFilter,
  type MetricSelection,
  metricExemplars,
  mostGroups,
  selected,
} from "./metric-selection.ts";

export interface DistributionQuestion extends MetricSelection {
  kind: "histogram" | "exponential_histogram";
  points: number;
}

/** Of one stretch: its start in milliseconds since the epoch, and null or no bucket where nothing was recorded. */
export interface DistributionPoint {
  at: number;
  count: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  buckets: Bucket[];
}

export interface DistributionSeries {
  everyMs: number;
  /** `group` has a value for each key of `groupBy`. */
  series: { group: string[]; points: DistributionPoint[] }[];
  /** Groups that are left out because there are too many. */
  omittedGroups: number;
  exemplars: Exemplar[];
}

/** Most data points that are read for one answer. */
export const distributionPointLimit = 50_000;
const mostBuckets = 40;

interface Row {
  series: string;
  grp: string[];
  at: number;
  /** Milliseconds since the epoch at which the count began. */
  began: number;
  temporality: number;
  bounds: number[];
  counts: number[];
  scale: number;
  zero: number;
  positiveOffset: number;
  positive: number[];
  negativeOffset: number;
  negative: number[];
}

const buckets = {
  histogram: `arrayMap(one -> toFloat64(one), BucketCounts) AS counts, ExplicitBounds AS bounds, 0 AS scale,
    0 AS zero, 0 AS positiveOffset, [] AS positive, 0 AS negativeOffset, [] AS negative`,
  exponential_histogram: `[] AS counts, [] AS bounds, Scale AS scale, toFloat64(ZeroCount) AS zero,
    PositiveOffset AS positiveOffset, arrayMap(one -> toFloat64(one), PositiveBucketCounts) AS positive,
    NegativeOffset AS negativeOffset, arrayMap(one -> toFloat64(one), NegativeBucketCounts) AS negative`,
};

/**
 * What was added is found for each series by itself and summed after: two instances are two series. A cumulative point
 * that is the first of its series counts only where the count began within the time that was asked for. Throws
 * `invalid_input` where there are more than `distributionPointLimit` data points, or instances with different bounds.
 */
export async function metricDistribution(
  reader: TelemetryReader,
  filter: MetricFilter,
  asked: DistributionQuestion,
): Promise<DistributionSeries> {
  const { since, until } = filter;
  const { where, params, group } = selected(filter, asked);
  const rows = await reader.query<Row>(
    `SELECT toString(cityHash64(ServiceName, ScopeName, toString(Attributes), toString(ResourceAttributes))) AS series,
        ${group} AS grp,
        toFloat64(toUnixTimestamp64Milli(TimeUnix)) AS at, toFloat64(toUnixTimestamp64Milli(StartTimeUnix)) AS began,
        AggregationTemporality AS temporality, ${buckets[asked.kind]}
      FROM otel_metrics_${asked.kind} WHERE ${where}
      ORDER BY series, TimeUnix LIMIT ${distributionPointLimit + 1}`,
    params,
  );
  if (rows.length > distributionPointLimit) {
    throw refused(`there are more than ${distributionPointLimit} data points`, "ask for a shorter time or one service");
  }
  const everyMs = Math.max(1_000, Math.ceil((until - since) / asked.points));
  const first = Math.floor(since);
  const stretches = Math.max(1, Math.ceil((until - first) / everyMs));
  const groups = new Map<string, { group: string[]; sums: (Distribution | null)[] }>();
  let before: { row: Row; distribution: Distribution } | undefined;
  for (const row of rows) {
    const distribution = toDistribution(row, asked.kind);
    const added = addedBy(row, distribution, before?.row.series === row.series ? before : undefined, since);
    before = { row, distribution };
    const name = JSON.stringify(row.grp);
    const { sums } = groups.get(name) ?? { sums: new Array<Distribution | null>(stretches).fill(null) };
    groups.set(name, { group: row.grp, sums });
    const stretch = Math.floor((row.at - first) / everyMs);
    if (added === null || stretch < 0 || stretch >= sums.length) continue;
    const sum = sums[stretch] ?? null;
    const merged = sum === null ? added : sumOf(sum, added);
    if (merged === null) throw refused("its instances have buckets with different bounds", "name one service");
    sums[stretch] = merged;
  }
  const named = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  return {
    everyMs,
    series: named.slice(0, mostGroups).map(({ group: values, sums }) => ({
      group: values,
      points: sums.map((sum, stretch) => pointOf(sum, first + stretch * everyMs)),
    })),
    omittedGroups: Math.max(0, named.length - mostGroups),
    exemplars: await metricExemplars(reader, asked.kind, { where, params }),
  };
}

function pointOf(sum: Distribution | null, at: number): DistributionPoint {
  if (sum === null) return { at, count: 0, p50: null, p95: null, p99: null, buckets: [] };
  return {
    at,
    count: bucketsOf(sum).reduce((total, { count }) => total + count, 0),
    p50: quantileOf(sum, 0.5),
    p95: quantileOf(sum, 0.95),
    p99: quantileOf(sum, 0.99),
    buckets: bucketsOf(sum, mostBuckets),
  };
}

const delta = 1;

function addedBy(
  row: Row,
  now: Distribution,
  before: { row: Row; distribution: Distribution } | undefined,
  since: number,
): Distribution | null {
  if (row.temporality === delta) return now;
  if (before === undefined) return row.began >= since ? now : null;
  return addedSince(before.distribution, now) ?? now;
}

function toDistribution(row: Row, kind: keyof typeof buckets): Distribution {
  if (kind === "histogram") return { kind: "explicit", bounds: row.bounds, counts: row.counts };
  const indexed = (offset: number, counts: number[]) =>
    new Map(counts.flatMap((count, at) => (count === 0 ? [] : [[offset + at, count] as const])));
  return {
    kind: "exponential",
    scale: row.scale,
    zero: row.zero,
    positive: indexed(row.positiveOffset, row.positive),
    negative: indexed(row.negativeOffset, row.negative),
  };
}

function refused(message: string, fix: string): TsdevError {
  return new TsdevError("invalid_input", { message, fix, path: "metric" });
}
