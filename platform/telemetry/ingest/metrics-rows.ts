// The rows of a metrics request: one buffer for each of the five tables, and what is told of what was refused.
import { cutWarning } from "./attribute-limits.ts";
import { RowBinary } from "./row-binary.ts";
import type { EncodedRows, IngestTable, Tenant, TimeBounds } from "./tables.ts";

/** Of the kinds of metrics that OTLP has, the tables that hold them. */
export const metricTables = {
  gauge: "otel_metrics_gauge",
  sum: "otel_metrics_sum",
  histogram: "otel_metrics_histogram",
  exponentialHistogram: "otel_metrics_exponential_histogram",
  summary: "otel_metrics_summary",
} as const satisfies Record<string, IngestTable>;
export type MetricKind = keyof typeof metricTables;

export interface EncodedMetrics extends Omit<EncodedRows, "rows"> {
  tables: Array<{ table: IngestTable; rows: Buffer; count: number }>;
}

/** Why a point is not kept; null where it is. */
export type Problem = string | null;

export const problems = {
  time: "a data point's time is older than what is kept, or ahead of the clock by more than a day",
  kind: "a metric is none of gauge, sum, histogram, exponential histogram and summary, or has no data",
  buckets: "a histogram has not one more bucket count than it has bounds",
} as const;

export class MetricRows {
  readonly #tenant: Tenant;
  readonly #bounds: TimeBounds;
  readonly #tables = new Map<IngestTable, { out: RowBinary; count: number }>();
  /** True where attributes were cut. */
  cut = false;
  #accepted = 0;
  #rejected = 0;
  #reason = "";

  constructor(tenant: Tenant, bounds: TimeBounds) {
    this.#tenant = tenant;
    this.#bounds = bounds;
  }

  /** Where the point's row is written; what `write` finds wrong takes it back. */
  point(kind: MetricKind, write: (out: RowBinary) => Problem): void {
    const table = metricTables[kind];
    let rows = this.#tables.get(table);
    if (rows === undefined) {
      rows = { out: new RowBinary(), count: 0 };
      this.#tables.set(table, rows);
    }
    const mark = rows.out.mark();
    const problem = write(rows.out);
    if (problem === null) {
      rows.count++;
      this.#accepted++;
    } else {
      rows.out.rewind(mark);
      this.reject(problem);
    }
  }

  reject(problem: string, count = 1): void {
    this.#rejected += count;
    this.#reason ||= problem;
  }

  isKept(time: bigint): boolean {
    return time >= this.#bounds.from && time <= this.#bounds.to;
  }

  /** The columns at the end of every row. */
  owner(out: RowBinary, deployment: string): void {
    out.text(this.#tenant.organizationId);
    out.text(this.#tenant.project);
    out.text(this.#tenant.environment);
    out.text(deployment);
    out.uint16(this.#bounds.retentionDays);
  }

  finish(): EncodedMetrics {
    return {
      tables: [...this.#tables]
        .filter(([, { count }]) => count > 0)
        .map(([table, { out, count }]) => ({ table, rows: out.bytes(), count })),
      accepted: this.#accepted,
      rejected: this.#rejected,
      reason: this.#reason || (this.cut ? cutWarning : ""),
    };
  }
}
