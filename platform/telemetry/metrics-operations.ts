// The operations over metrics: which an environment has, and one of them over time.
import { z } from "zod";
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import { type DistributionQuestion, type DistributionSeries, metricDistribution } from "./query/metric-distribution.ts";
import {
  type MetricInfo,
  type MetricQuestion,
  type MetricSeries,
  metricFunctions,
  metricList,
  metricSeries,
} from "./query/metric-queries.ts";
import { AttributeFilters, GroupBy, type MetricFilter, metricKinds } from "./query/metric-selection.ts";
import type { TelemetryReader } from "./reader.ts";
import { Since } from "./time-range.ts";

/** The reads of metrics on one store. `organizationId` comes from the principal, never from an input. */
export interface Metrics {
  list(filter: MetricFilter): Promise<MetricInfo[]>;
  series(filter: MetricFilter, question: MetricQuestion): Promise<MetricSeries>;
  distribution(filter: MetricFilter, asked: DistributionQuestion): Promise<DistributionSeries>;
}

export function openMetrics({ reader }: { reader: TelemetryReader }): Metrics {
  return {
    list: (filter) => metricList(reader, filter),
    series: (filter, question) => metricSeries(reader, filter, question),
    distribution: (filter, asked) => metricDistribution(reader, filter, asked),
  };
}

export interface MetricsOperationParts {
  metrics: Metrics;
  /** Throws `not_found` where the organization has no such environment. */
  projects: { environment(organizationId: string, project: string, environment: string): Promise<unknown> };
}

const viewer = { role: "viewer", effect: "read", idempotent: true } as const;

const Where = EnvironmentRef.extend({
  service: z.string().max(300).optional().meta({ description: "only of this service" }),
  since: Since.prefault("1h").meta({ description: "how far back: 15m, 1h, 7d, or an ISO time" }),
  until: Since.optional().meta({ description: "only older ones: 15m, 1h, 7d ago, or an ISO time" }),
});

const Selection = Where.extend({
  metric: z.string().min(1).max(300).meta({ description: "as metrics.list gives it" }),
  attributes: AttributeFilters.optional(),
  groupBy: GroupBy.optional(),
});

const Group = z.array(z.string()).meta({ description: "a value for each key of groupBy" });
const omittedGroups = z.int().meta({ description: "groups that are left out because there are too many" });
const exemplars = z.array(z.object({ at: z.number(), value: z.number(), traceId: z.string() }));

const DistributionPoint = z.object({
  at: z.number().meta({ description: "its start, ms since the epoch" }),
  count: z.number(),
  p50: z.number().nullable(),
  p95: z.number().nullable(),
  p99: z.number().nullable(),
  buckets: z
    .array(z.object({ from: z.number(), to: z.number(), count: z.number() }))
    .meta({ description: "values above `from` and up to `to`; empty ones are left out" }),
});

export function metricsOperations({ metrics, projects }: MetricsOperationParts): Operation[] {
  return [
    operation({
      name: "metrics.list",
      summary: "List the metrics of an environment with their kind, unit and attributes",
      input: Where,
      output: z.object({
        metrics: z.array(
          z.object({
            name: z.string(),
            kind: z.enum(metricKinds),
            unit: z.string(),
            description: z.string(),
            services: z.array(z.string()),
            series: z.int().meta({ description: "different sets of attributes, about" }),
            attributes: z.array(z.string()),
            monotonic: z.boolean().meta({ description: "a sum that only grows: its rate is what tells" }),
          }),
        ),
      }),
      access: viewer,
      async handler(input, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        return { metrics: await metrics.list({ ...input, organizationId, until: input.until ?? Date.now() }) };
      },
    }),

    operation({
      name: "metrics.query",
      summary: "Show a metric over time, by attributes where some are named, with traces that recorded it",
      input: Selection.extend({
        kind: z.enum(metricKinds).meta({ description: "as metrics.list gives it" }),
        of: z.enum(metricFunctions).default("average").meta({
          description:
            "gauge: average, min, max; sum: rate a second, or value; histograms: rate, or average recorded; summary: rate, average, quantiles",
        }),
        points: z.int().min(1).max(500).default(60),
      }),
      output: z.object({
        everyMs: z.number(),
        times: z.array(z.number()),
        series: z.array(
          z.object({
            group: Group.meta({ description: "a value for each key of groupBy; after them a summary's quantile" }),
            values: z.array(z.number().nullable()),
          }),
        ),
        omittedGroups,
        exemplars,
      }),
      access: viewer,
      async handler({ metric, kind, of, attributes, groupBy, points, ...input }, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        const filter = { ...input, organizationId, until: input.until ?? Date.now() };
        return metrics.series(filter, { metric, kind, of, attributes, groupBy, points });
      },
    }),

    operation({
      name: "metrics.distribution",
      summary: "Show the quantiles of a histogram metric over time, with the counts of its buckets for a heat map",
      input: Selection.extend({
        kind: z.enum(["histogram", "exponential_histogram"]).meta({ description: "as metrics.list gives it" }),
        points: z.int().min(1).max(200).default(30),
      }),
      output: z.object({
        everyMs: z.number(),
        series: z.array(z.object({ group: Group, points: z.array(DistributionPoint) })),
        omittedGroups,
        exemplars,
      }),
      access: viewer,
      async handler({ metric, kind, attributes, groupBy, points, ...input }, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        const filter = { ...input, organizationId, until: input.until ?? Date.now() };
        return metrics.distribution(filter, { metric, kind, attributes, groupBy, points });
      },
    }),
  ];
}
