// The operations over services: rate, errors and duration of what they answer, over time too, and who calls whom.
import { z } from "zod";
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import type { TelemetryOperationParts } from "./operations.ts";
import { Since } from "./time-range.ts";

const viewer = { role: "viewer", effect: "read", idempotent: true } as const;

const Where = EnvironmentRef.extend({
  deployment: z.string().max(64).optional().meta({ description: "only of this deployment (its id)" }),
  since: Since.prefault("1h").meta({ description: "how far back: 15m, 1h, 7d, or an ISO time" }),
  until: Since.optional().meta({ description: "only older ones: 15m, 1h, 7d ago, or an ISO time" }),
});
const Service = z.string().max(300).optional().meta({ description: "only of this service" });

const figures = { requests: z.number(), errors: z.number() };
const quantiles = { p50Ms: z.number(), p95Ms: z.number(), p99Ms: z.number() };

const OperationMetrics = z.object({
  service: z.string(),
  operation: z.string(),
  ...figures,
  perSecond: z.number(),
  ...quantiles,
  maxMs: z.number(),
});

const OperationSeries = z.object({
  everyMs: z.number(),
  points: z.array(z.object({ at: z.number(), ...figures, ...quantiles })),
});

const ServiceMap = z.object({
  nodes: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(["service", "database", "messaging", "external"]),
      ...figures,
      p95Ms: z.number(),
    }),
  ),
  edges: z.array(z.object({ from: z.string(), to: z.string(), ...figures, p95Ms: z.number() })),
});

export function serviceOperations({ traces, projects }: TelemetryOperationParts): Operation[] {
  return [
    operation({
      name: "operations.list",
      summary: "List the operations of an environment with their rate, errors and durations, the busiest first",
      input: Where.extend({ service: Service, limit: z.int().min(1).max(500).default(50) }),
      output: z.object({ operations: z.array(OperationMetrics) }),
      access: viewer,
      async handler({ limit, ...input }, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        const filter = { ...input, organizationId, until: input.until ?? Date.now() };
        return { operations: await traces.operations(filter, limit) };
      },
    }),

    operation({
      name: "operations.series",
      summary: "Show rate, errors and durations over time of an operation, a service or a whole environment",
      input: Where.extend({
        service: Service,
        operation: z.string().max(500).optional().meta({ description: "as operations.list gives it" }),
        points: z.int().min(1).max(500).default(60),
      }),
      output: OperationSeries,
      access: viewer,
      async handler({ points, ...input }, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        return traces.series({ ...input, organizationId, until: input.until ?? Date.now() }, points);
      },
    }),

    operation({
      name: "services.map",
      summary: "Show which service calls which and what they use, with rate, errors and the 95th percentile of each",
      input: Where,
      output: ServiceMap,
      access: viewer,
      async handler(input, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        return traces.map({ ...input, organizationId, until: input.until ?? Date.now() });
      },
    }),
  ];
}
