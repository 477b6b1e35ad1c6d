// OTLP: collected series as an ExportMetricsServiceRequest in protobuf's JSON, cumulative from the start of the process.
import type { Attributes, AttributeValue } from "@opentelemetry/api";
import type { Point, Series } from "./series.ts";

/** opentelemetry-proto AggregationTemporality. */
const cumulative = 2;

/** The series of one instrumentation scope, wherever they were measured. */
export interface MeasuredScope {
  name: string;
  version: string;
  series: readonly MeasuredSeries[];
}

export type MeasuredSeries = Pick<Series, "name" | "unit" | "description" | "kind" | "bounds" | "points">;

export interface CollectedAt {
  /** Milliseconds since the epoch. */
  startMs: number;
  nowMs: number;
}

/** The request's text; undefined where nothing was measured. */
export function metricsRequest(
  resource: Attributes,
  scopes: readonly MeasuredScope[],
  at: CollectedAt,
): string | undefined {
  const scopeMetrics = scopes.flatMap(({ name, version, series }) => {
    const metrics = series.flatMap((one) => metric(one, at) ?? []);
    return metrics.length === 0 ? [] : [{ scope: { name, ...(version === "" ? {} : { version }) }, metrics }];
  });
  if (scopeMetrics.length === 0) return undefined;
  return JSON.stringify({ resourceMetrics: [{ resource: { attributes: keyValues(resource) }, scopeMetrics }] });
}

function metric(series: MeasuredSeries, at: CollectedAt): object | undefined {
  const dataPoints = [...series.points].map((point) => dataPoint(series, point, at));
  if (dataPoints.length === 0) return undefined;
  const { name, description, unit, kind } = series;
  const head = { name, ...(description === "" ? {} : { description }), ...(unit === "" ? {} : { unit }) };
  if (kind === "gauge") return { ...head, gauge: { dataPoints } };
  if (kind === "histogram") return { ...head, histogram: { dataPoints, aggregationTemporality: cumulative } };
  return { ...head, sum: { dataPoints, aggregationTemporality: cumulative, isMonotonic: kind === "counter" } };
}

function dataPoint(
  series: MeasuredSeries,
  { attributes, value, histogram }: Point,
  { startMs, nowMs }: CollectedAt,
): object {
  const head = {
    attributes: keyValues(attributes),
    ...(series.kind === "gauge" ? {} : { startTimeUnixNano: nanoseconds(startMs) }),
    timeUnixNano: nanoseconds(nowMs),
  };
  if (!histogram) return { ...head, asDouble: value };
  const { count, sum, min, max, buckets } = histogram;
  // 64-bit integers are texts in protobuf's JSON.
  return {
    ...head,
    ...{ count: String(count), sum, min, max },
    bucketCounts: buckets.map(String),
    explicitBounds: series.bounds,
  };
}

function nanoseconds(ms: number): string {
  return `${Math.trunc(ms)}000000`;
}

function keyValues(attributes: Attributes): object[] {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined || value === null ? [] : [{ key, value: anyValue(value) }],
  );
}

function anyValue(value: AttributeValue | null | undefined): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  return {};
}
