// Trace and span as the query layer returns them; times in milliseconds, ids in lower case hexadecimal.
import { z } from "zod";

export const CodeFrame = z.object({ file: z.string(), line: z.int(), function: z.string().nullable() });
export type CodeFrame = z.infer<typeof CodeFrame>;

export const Span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().nullable(),
  name: z.string(),
  kind: z.enum(["internal", "server", "client", "producer", "consumer"]),
  service: z.string(),
  /** Milliseconds since the epoch, with fractions. */
  start: z.number(),
  durationMs: z.number(),
  status: z.enum(["unset", "ok", "error"]),
  statusMessage: z.string(),
  attributes: z.record(z.string(), z.string()),
  events: z.array(z.object({ time: z.number(), name: z.string(), attributes: z.record(z.string(), z.string()) })),
});
export type Span = z.infer<typeof Span>;

export const Trace = z.object({
  traceId: z.string(),
  spans: z.array(Span),
  /** Spans left out because the trace is longer than the limit. */
  omitted: z.int(),
});
export type Trace = z.infer<typeof Trace>;

export const TraceSummary = z.object({
  traceId: z.string(),
  name: z.string(),
  service: z.string(),
  deployment: z.string().nullable(),
  start: z.number(),
  durationMs: z.number(),
  spans: z.int(),
  errors: z.int(),
  databaseQueries: z.int(),
});
export type TraceSummary = z.infer<typeof TraceSummary>;

export const LogRecord = z.object({
  time: z.iso.datetime(),
  nanoseconds: z.string().meta({ description: "the same time in nanoseconds since the epoch" }),
  project: z.string(),
  environment: z.string(),
  deployment: z.string().nullable(),
  instance: z.string().nullable(),
  service: z.string(),
  severity: z.enum(["trace", "debug", "info", "warn", "error", "fatal"]),
  stream: z.string().nullable(),
  text: z.string(),
  traceId: z.string().nullable(),
  spanId: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
});
export type LogRecord = z.infer<typeof LogRecord>;
