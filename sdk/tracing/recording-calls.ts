// Recording calls: turns sampled calls of procedures into recordings.
import { type Span, TraceFlags, trace } from "@opentelemetry/api";
import { ATTR_HTTP_ROUTE } from "@opentelemetry/semantic-conventions";
import type { CallRecord } from "../recorder.ts";
import type { CallRecording, Recording } from "./recording.ts";
import { redactText, redactValue } from "./redaction.ts";
import { currentScope } from "./request-scope.ts";
import { isExcluded, RecordingSampler } from "./sampling.ts";

/** Calls of one procedure in a minute that are all recorded, and the share of the others: they outnumber requests. */
const perMinute = 60;
const shareAfter = 0.01;

/** Spans of requests by the mark of their scope, so that a route that became known later can still exclude its calls. */
const requestSpans = new WeakMap<object, Span>();

/** Tells of the request that a scope belongs to. */
export function knowRequest(recorded: object, span: Span): void {
  requestSpans.set(recorded, span);
}

export class CallRecorder {
  readonly #exclude: readonly string[];
  readonly #keep: (recording: () => Recording | undefined) => void;
  readonly #sampler = new RecordingSampler(perMinute, shareAfter);

  constructor(exclude: readonly string[], keep: (recording: () => Recording | undefined) => void) {
    this.#exclude = exclude;
    this.#keep = keep;
  }

  /** The span of the call is active. Undefined: this call is not one of the sample. */
  take(procedure: string): ((record: CallRecord) => void) | undefined {
    const span = trace.getActiveSpan();
    if (!span || (span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
    const scope = currentScope();
    // A scope without a recording is that of a request which is excluded.
    if (scope && !scope.recorded) return undefined;
    if (isExcluded(this.#exclude, procedure) || !this.#sampler.take(procedure, Date.now())) return undefined;
    const time = Date.now();
    const started = performance.now();
    const { traceId, spanId } = span.spanContext();
    const request = scope?.recorded;
    return (record) => {
      const durationMs = performance.now() - started;
      this.#keep(() => {
        if (request && this.#isExcludedRoute(request)) return undefined;
        const of = { traceId, spanId, time, durationMs, requestSpanId: request?.spanId ?? null };
        return callRecording(record, of);
      });
    };
  }

  #isExcludedRoute(request: object): boolean {
    const span = requestSpans.get(request) as { attributes?: Record<string, unknown> } | undefined;
    const route = span?.attributes?.[ATTR_HTTP_ROUTE];
    return typeof route === "string" && isExcluded(this.#exclude, route);
  }
}

function callRecording(
  { procedure, input, output, error }: CallRecord,
  of: Pick<CallRecording, "traceId" | "spanId" | "time" | "durationMs" | "requestSpanId">,
): CallRecording {
  return {
    kind: "call",
    ...of,
    procedure,
    input: redactValue(JSON.parse(input)),
    output: redactValue(JSON.parse(output)),
    error: error && {
      type: error.type,
      message: redactText(error.message),
      data: error.data === undefined ? null : redactValue(JSON.parse(error.data)),
    },
  };
}
