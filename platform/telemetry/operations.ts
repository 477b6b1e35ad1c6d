// The operations of telemetry: settings, search traces, read one, search logs, follow them.
import { z } from "zod";
import { type Operation, operation, streamOperation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import { LogHistogram } from "./log-histogram.ts";
import type { Logs } from "./logs.ts";
import { type Metrics, metricsOperations } from "./metrics-operations.ts";
import { AttributePairs } from "./query/attribute-pairs.ts";
import { partOf } from "./query/trace-part.ts";
import { TraceView } from "./query/trace-view.ts";
import { serviceOperations } from "./service-operations.ts";
import { type SettingsOperationParts, telemetrySettingsOperations } from "./settings-operations.ts";
import { severities } from "./severity.ts";
import { type SqlOperationParts, sqlOperations } from "./sql-operations.ts";
import { Cursor, Since } from "./time-range.ts";
import { LogRecord, TraceSummary } from "./trace.ts";
import { noTrace, type Traces } from "./traces.ts";

const viewer = { role: "viewer", effect: "read", idempotent: true } as const;

const Deployment = z.string().max(64).meta({ description: "only of this deployment (its id)" });

const SpanId = z.string().regex(/^[0-9a-fA-F]{16}$/, "a span id is 16 hexadecimal digits");

const LogInput = EnvironmentRef.extend({
  deployment: Deployment.optional(),
  search: z
    .string()
    .max(500)
    .optional()
    .meta({ description: "text in the line; in lower case throughout it is found in any case" }),
  severity: z.enum(severities).optional().meta({ description: "this severity or a higher one" }),
  service: z.string().max(300).optional().meta({ description: "only of this service" }),
  trace: z
    .string()
    .regex(/^[0-9a-fA-F]{32}$/, "a trace id is 32 hexadecimal digits")
    .optional()
    .meta({ description: "only what was logged within this trace" }),
  attributes: AttributePairs.optional(),
});

export interface TelemetryOperationParts {
  traces: Traces;
  logs: Logs;
  metrics: Metrics;
  sql: SqlOperationParts["sql"];
  /** Throws `not_found` where the organization has no such environment. */
  projects: SettingsOperationParts["projects"];
  settings: SettingsOperationParts["settings"];
  copies: SettingsOperationParts["copies"];
}

/** The organization is always the principal's. */
export function telemetryOperations(parts: TelemetryOperationParts): Operation[] {
  const { traces, logs, projects, settings, copies } = parts;
  return [
    ...telemetrySettingsOperations({ settings, copies, projects }),
    ...serviceOperations(parts),
    ...metricsOperations(parts),
    ...sqlOperations(parts),

    operation({
      name: "traces.search",
      summary: "Search the traces of an environment, newest first: slow ones, failed ones, or those of one route",
      input: EnvironmentRef.extend({
        deployment: Deployment.optional(),
        since: Since.prefault("1h").meta({ description: "how far back: 15m, 1h, 7d, or an ISO time" }),
        until: Since.optional().meta({ description: "only older ones: 15m, 1h, 7d ago, or an ISO time" }),
        service: z.string().max(300).optional().meta({ description: "only with an entry of this service" }),
        operation: z
          .string()
          .max(500)
          .optional()
          .meta({ description: "only of this operation, as operations.list gives it" }),
        attributes: AttributePairs.optional(),
        fasterThanMs: z.number().min(0).max(86_400_000).optional().meta({ description: "only faster ones, in ms" }),
        slowerThanMs: z.number().min(0).max(86_400_000).optional().meta({ description: "only slower ones, in ms" }),
        errorsOnly: z.boolean().default(false).meta({ description: "only traces with a failed span" }),
        route: z.string().max(300).optional().meta({ description: "part of the route or name, such as /orders/:id" }),
        limit: z.int().min(1).max(200).default(20),
        cursor: Cursor.optional(),
      }),
      output: z.object({ traces: z.array(TraceSummary), cursor: z.string().nullable() }),
      access: viewer,
      faces: { mcp: "search_traces", cli: "traces" },
      async handler(input, { principal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        return traces.search(principal.organizationId, input);
      },
    }),

    operation({
      name: "traces.count",
      summary: "Count the spans stored of an environment",
      input: EnvironmentRef.extend({ deployment: Deployment.optional() }),
      output: z.object({ spans: z.int() }),
      access: viewer,
      async handler(input, { principal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        return { spans: await traces.spanCount(principal.organizationId, input) };
      },
    }),

    operation({
      name: "traces.get",
      summary: "Show one trace: its spans in the order of time, their self time and the critical path",
      input: z.object({
        trace: z
          .string()
          .regex(/^[0-9a-fA-F]{32}$/, "a trace id is 32 hexadecimal digits")
          .meta({ description: "32 hexadecimal digits, as traces.search gives it" }),
        under: SpanId.optional().meta({ description: "only this span and what is below it" }),
        after: SpanId.optional().meta({ description: "only what comes after this span in the tree" }),
      }),
      output: TraceView,
      access: viewer,
      faces: { mcp: "get_trace", cli: "traces" },
      async handler(input, { principal }) {
        const trace = await traces.view(principal.organizationId, input.trace);
        if (trace === null) throw noTrace(input.trace);
        return partOf(trace, input);
      },
    }),

    operation({
      name: "logs.search",
      summary: "Search the logs of an environment; the newest lines that fit, newest last",
      input: LogInput.extend({
        since: Since.prefault("1h").meta({ description: "how far back: 15m, 1h, 7d, or an ISO time" }),
        until: Since.optional().meta({ description: "only older ones: 15m, 1h, 7d ago, or an ISO time" }),
        limit: z.int().min(1).max(1_000).default(100),
        cursor: Cursor.optional(),
      }),
      output: z.object({ records: z.array(LogRecord), cursor: z.string().nullable() }),
      access: viewer,
      faces: { mcp: "get_logs", cli: "logs" },
      async handler(input, { principal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        return logs.search({ ...input, organizationId: principal.organizationId });
      },
    }),

    operation({
      name: "logs.histogram",
      summary: "Count the logs of an environment over time by severity",
      input: LogInput.extend({
        since: Since.prefault("1h").meta({ description: "how far back: 15m, 1h, 7d, or an ISO time" }),
        until: Since.optional().meta({ description: "only older ones: 15m, 1h, 7d ago, or an ISO time" }),
        points: z.int().min(1).max(500).default(60),
      }),
      output: LogHistogram,
      access: viewer,
      async handler({ points, ...input }, { principal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        const until = input.until ?? Date.now();
        return logs.histogram({ ...input, until, organizationId: principal.organizationId }, points);
      },
    }),

    operation({
      name: "logs.context",
      summary: "Show what was logged before and after a moment, whatever a search had left out",
      input: EnvironmentRef.extend({
        at: z
          .string()
          .regex(/^\d{1,19}$/, "nanoseconds since the epoch")
          .meta({ description: "the record's `nanoseconds`" }),
        service: z.string().max(300).optional().meta({ description: "only of this service" }),
        before: z.int().min(0).max(200).default(10),
        after: z.int().min(0).max(200).default(10),
      }),
      output: z.object({ records: z.array(LogRecord) }),
      access: viewer,
      async handler(input, { principal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        return { records: await logs.context({ ...input, organizationId: principal.organizationId }) };
      },
    }),

    streamOperation({
      name: "logs.follow",
      summary: "Follow the logs of an environment as they are written",
      input: LogInput.extend({
        since: Since.optional().meta({ description: "show lines from then on first: 15m, 1h, or an ISO time" }),
        context: z.int().min(0).max(100).default(0).meta({
          description: "lines of the same service and instance before and after each that arrives and fits",
        }),
      }),
      output: LogRecord.extend({
        context: z.boolean().meta({ description: "it did not fit, and stands beside a line that did" }),
      }),
      access: viewer,
      faces: { cli: "logs" },
      async *handler(input, { principal, signal }) {
        await projects.environment(principal.organizationId, input.project, input.environment);
        yield* logs.tail({ ...input, organizationId: principal.organizationId }, signal);
      },
    }),
  ];
}
