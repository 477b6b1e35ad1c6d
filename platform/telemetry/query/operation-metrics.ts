// RED metrics of operations: rate, errors and duration, over all spans that a sampled one stands for.
import type { TelemetryReader } from "../reader.ts";
import { entrySpan, rowConditions, type SpanFilter } from "./span-filter.ts";

/** One operation of a service over the time that was asked for. Durations are milliseconds. */
export interface OperationMetrics {
  service: string;
  operation: string;
  requests: number;
  perSecond: number;
  /** Requests that failed. */
  errors: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** The same of one stretch of time; `at` is its start in milliseconds since the epoch. */
export interface OperationPoint {
  at: number;
  requests: number;
  errors: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
}

// A t-digest is exact to a fraction of a percent at the ends; each span counts as many times as it stands for.
const measures = `sum(AdjustedCount) AS requests, sumIf(AdjustedCount, StatusCode = 'Error') AS errors,
  quantilesTDigestWeighted(0.5, 0.95, 0.99)(Duration, toUInt64(greatest(1, round(AdjustedCount)))) AS quantiles`;

interface Measured {
  requests: number;
  errors: number;
  /** Nanoseconds. */
  quantiles: [number, number, number];
}

/** The operations with the most requests first. */
export async function operationMetrics(
  reader: TelemetryReader,
  filter: SpanFilter,
  limit: number,
): Promise<OperationMetrics[]> {
  const { where, params } = rowConditions("otel_traces", filter);
  const rows = await reader.query<Measured & { ServiceName: string; Operation: string; longest: number }>(
    `SELECT ServiceName, Operation, ${measures}, max(Duration) AS longest FROM otel_traces
      WHERE ${where} AND ${entrySpan} GROUP BY ServiceName, Operation
      ORDER BY requests DESC, ServiceName, Operation LIMIT {limit:UInt32}`,
    { ...params, limit },
  );
  const seconds = (filter.until - filter.since) / 1_000;
  return rows.map((row) => ({
    service: row.ServiceName,
    operation: row.Operation,
    ...figures(row),
    perSecond: row.requests / seconds,
    maxMs: row.longest / 1e6,
  }));
}

/** Equal stretches of time from `since` to `until`, those without a request too. */
export async function operationSeries(
  reader: TelemetryReader,
  filter: SpanFilter & { operation?: string | undefined },
  points: number,
): Promise<{ everyMs: number; points: OperationPoint[] }> {
  const everyMs = Math.max(1_000, Math.ceil((filter.until - filter.since) / points));
  const { where, params } = rowConditions("otel_traces", filter);
  const named = filter.operation === undefined ? "" : " AND Operation = {operation:String}";
  const rows = await reader.query<Measured & { stretch: number }>(
    `SELECT toUInt32(intDiv(toUnixTimestamp64Milli(Timestamp) - {first:Int64}, {every:Int64})) AS stretch, ${measures}
      FROM otel_traces WHERE ${where} AND ${entrySpan}${named} GROUP BY stretch ORDER BY stretch`,
    {
      ...params,
      first: Math.floor(filter.since),
      every: everyMs,
      ...(filter.operation === undefined ? {} : { operation: filter.operation }),
    },
  );
  const byStretch = new Map(rows.map((row) => [row.stretch, row]));
  const count = Math.ceil((filter.until - filter.since) / everyMs);
  return {
    everyMs,
    points: Array.from({ length: count }, (_, stretch) => ({
      at: Math.floor(filter.since) + stretch * everyMs,
      ...figures(byStretch.get(stretch) ?? { requests: 0, errors: 0, quantiles: [0, 0, 0] }),
    })),
  };
}

function figures({ requests, errors, quantiles: [p50, p95, p99] }: Measured) {
  return { requests, errors, p50Ms: p50 / 1e6, p95Ms: p95 / 1e6, p99Ms: p99 / 1e6 };
}
