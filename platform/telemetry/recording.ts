// Recording: a sampled, redacted request, run, call of a procedure or outgoing call, kept so that it can be replayed against two versions.
import { z } from "zod";

const Headers = z.record(z.string(), z.string());

/** A body as text, or base64 where it is not UTF-8; `truncated` bodies are never replayed. */
export const RecordedBody = z.object({ text: z.string(), base64: z.boolean(), truncated: z.boolean() });

const base = {
  traceId: z.string(),
  spanId: z.string(),
  /** Milliseconds since the epoch. */
  time: z.number(),
  durationMs: z.number(),
};

/** An HTTP request that the app answered. */
export const RequestRecording = z.object({
  kind: z.literal("request"),
  ...base,
  method: z.string(),
  /** Path and query. */
  path: z.string(),
  /** The route as `url.template` or `http.route` has it, for example `/orders/:id`. */
  route: z.string(),
  headers: Headers,
  body: RecordedBody,
  status: z.int(),
});

/** What the outside world answered to the app. `number` counts calls of one key within the trace, from 1. */
export const OutgoingRecording = z.object({
  kind: z.literal("outgoing"),
  ...base,
  method: z.string(),
  /** Origin, path and sorted query. */
  url: z.string(),
  /** SHA-256 of the canonical body (JSON keys sorted), hexadecimal. */
  bodyDigest: z.string(),
  number: z.int(),
  /** Either an answer or the error's code, such as ECONNRESET. */
  status: z.int().nullable(),
  headers: Headers,
  body: RecordedBody,
  error: z.string().nullable(),
});

/** One execution of a workflow, whatever triggered it. */
export const RunRecording = z.object({
  kind: z.literal("run"),
  ...base,
  workflow: z.string(),
  runId: z.string(),
  input: z.unknown(),
  output: z.unknown(),
  failed: z.boolean(),
  /** The span of the HTTP request that started it, when one did. */
  requestSpanId: z.string().nullable(),
});

/** One call of a procedure, or one attempt of it. */
export const CallRecording = z.object({
  kind: z.literal("call"),
  ...base,
  procedure: z.string(),
  input: z.unknown(),
  /** Null when it failed. */
  output: z.unknown(),
  /** `data` is that of a declared error. */
  error: z.object({ type: z.string(), message: z.string(), data: z.unknown() }).nullable(),
  /** The span of the HTTP request that it was made for, when there was one. */
  requestSpanId: z.string().nullable(),
});

export const Recording = z.discriminatedUnion("kind", [
  RequestRecording,
  OutgoingRecording,
  RunRecording,
  CallRecording,
]);
export type Recording = z.infer<typeof Recording>;
export type RequestRecording = z.infer<typeof RequestRecording>;
export type OutgoingRecording = z.infer<typeof OutgoingRecording>;
export type RunRecording = z.infer<typeof RunRecording>;
export type CallRecording = z.infer<typeof CallRecording>;
