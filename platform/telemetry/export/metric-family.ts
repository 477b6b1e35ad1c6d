// Metric families for Prometheus: values that were measured elsewhere, written by prom-client's registry.
import type { Metric, Registry } from "prom-client";

export type FamilyType = "counter" | "gauge" | "histogram" | "summary";

export interface FamilyValue {
  /** With its suffix (`_bucket`, `_sum`, `_count`); the family's name where it is missing. */
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

export interface Family {
  name: string;
  help: string;
  type: FamilyType;
  values: FamilyValue[];
}

/** Has the registry ask `read` for the values whenever it is written out. */
export function registerFamily(
  registry: Registry,
  { name, help, type }: Omit<Family, "values">,
  read: () => FamilyValue[] | Promise<FamilyValue[]>,
): void {
  // The registry asks nothing else of a metric (prom-client, lib/registry.js); its own classes hold what they counted themselves.
  const metric = { name, get: async () => ({ name, help, type, aggregator: "sum", values: await read() }) };
  registry.registerMetric(metric as unknown as Metric<string>);
}

/** The series of one histogram. `counts` has one more than `bounds`, and is not cumulative. */
export function histogramValues(
  name: string,
  labels: Record<string, string | number>,
  { bounds, counts, count, sum }: { bounds: readonly number[]; counts: readonly number[]; count: number; sum: number },
): FamilyValue[] {
  const values: FamilyValue[] = [];
  let below = 0;
  for (const [index, bound] of bounds.entries()) {
    below += counts[index] ?? 0;
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: below });
  }
  values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count });
  // A sum is unknown where values may be negative (OTLP leaves it out).
  if (Number.isFinite(sum)) values.push({ metricName: `${name}_sum`, labels, value: sum });
  values.push({ metricName: `${name}_count`, labels, value: count });
  return values;
}
