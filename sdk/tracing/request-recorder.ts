// Request recorder: turns sampled incoming requests and workflow runs into recordings.
import type http from "node:http";
import { type Span, TraceFlags, trace } from "@opentelemetry/api";
import { ATTR_HTTP_ROUTE } from "@opentelemetry/semantic-conventions";
import type { CallRecord, RequestHiding } from "../recorder.ts";
import { tapIncoming } from "./body-tap.ts";
import { bodyLimit, type Recording, recordedBody, recordedRequestHeaders } from "./recording.ts";
import { CallRecorder, knowRequest } from "./recording-calls.ts";
import { redactUrl, redactValue } from "./redaction.ts";
import { currentScope, type RequestScope } from "./request-scope.ts";
import { urlTemplate } from "./route.ts";
import { isExcluded, RecordingSampler } from "./sampling.ts";
import type { RecordedSpan } from "./span.ts";

/** Recordings are made when they are sent: until then this holds what they are made of. */
export type PendingRecording = () => Recording | undefined;

/** What `globalThis[Symbol.for("tsdev.recorder")]` offers to the SDK, whichever copy of it runs. */
export interface RunRecorder {
  run(run: { workflow: string; runId: string; input: unknown; output: unknown; failed: boolean }): void;
  call(procedure: string): ((record: CallRecord) => void) | undefined;
  hide(hiding: RequestHiding): void;
}

/** What contracts hide of requests, by the mark of their scope. */
const hidings = new WeakMap<object, RequestHiding>();

const excludedScope: RequestScope = { id: undefined, recorded: undefined, determinism: undefined };

export class RequestRecorder implements RunRecorder {
  readonly #exclude: readonly string[];
  readonly #keep: (recording: PendingRecording) => void;
  readonly #sampler = new RecordingSampler();
  readonly #calls: CallRecorder;

  constructor(exclude: readonly string[], keep: (recording: PendingRecording) => void) {
    this.#exclude = exclude;
    this.#keep = keep;
    this.#calls = new CallRecorder(exclude, keep);
  }

  /** Opens the scope of a request; the span of the request is active. */
  open(request: http.IncomingMessage, response: http.ServerResponse): RequestScope | undefined {
    const span = sampledSpan(trace.getActiveSpan());
    if (!span) return undefined;
    const path = request.url ?? "/";
    const template = urlTemplate(path);
    // A scope without a recording: nothing of what is done for this request is recorded.
    if (isExcluded(this.#exclude, template, path.split("?", 1)[0] ?? path)) return excludedScope;
    const method = request.method ?? "GET";
    if (!this.#sampler.take(`${method} ${template}`, Date.now())) return undefined;
    const { traceId, spanId } = span.spanContext();
    const recorded = { traceId, spanId };
    this.#watch(request, response, span, { method, path, template, recorded });
    knowRequest(recorded, span);
    return { id: undefined, recorded, determinism: undefined };
  }

  call(procedure: string): ((record: CallRecord) => void) | undefined {
    return this.#calls.take(procedure);
  }

  hide(hiding: RequestHiding): void {
    const recorded = currentScope()?.recorded;
    if (recorded) hidings.set(recorded, hiding);
  }

  run(run: { workflow: string; runId: string; input: unknown; output: unknown; failed: boolean }): void {
    const active = trace.getActiveSpan();
    const span = sampledSpan(active);
    const scope = currentScope();
    if ((scope && !scope.recorded) || isExcluded(this.#exclude, run.workflow)) return;
    if (!span || !this.#sampler.take(`run ${run.workflow}`, Date.now())) return;
    const { traceId, spanId } = span.spanContext();
    const started = (span as Partial<RecordedSpan>).startTime;
    const now = Date.now();
    const time = started ? started[0] * 1000 + started[1] / 1e6 : now;
    const requestSpanId = scope?.recorded?.spanId ?? null;
    // The app may go on to change these objects, so they are written down now.
    const input = plainJson(run.input);
    const output = plainJson(run.output);
    if (input === undefined || output === undefined) return;
    this.#keep(() => ({
      kind: "run",
      traceId,
      spanId,
      time,
      durationMs: Math.max(0, now - time),
      workflow: run.workflow,
      runId: run.runId,
      input: redactValue(JSON.parse(input)),
      output: redactValue(JSON.parse(output)),
      failed: run.failed,
      requestSpanId,
    }));
  }

  #watch(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    span: Span,
    known: { method: string; path: string; template: string; recorded: object },
  ): void {
    const time = Date.now();
    const started = performance.now();
    const body = tapIncoming(request, bodyLimit);
    const headers = recordedRequestHeaders(request.headers);
    const { traceId, spanId } = span.spanContext();
    response.once("close", () => {
      const durationMs = performance.now() - started;
      const status = response.statusCode;
      const contentType = request.headers["content-type"];
      this.#keep(() => {
        const named = (span as Partial<RecordedSpan>).attributes?.[ATTR_HTTP_ROUTE];
        const route = typeof named === "string" ? named : known.template;
        if (isExcluded(this.#exclude, route)) return undefined;
        const hiding = hidings.get(known.recorded);
        for (const name of hiding?.headers ?? []) delete headers[name];
        return {
          kind: "request",
          traceId,
          spanId,
          time,
          durationMs,
          method: known.method,
          path: redactUrl(hiding ? hiding.url(known.path) : known.path),
          route,
          headers,
          body: recordedBody(contentType, body.bytes, body.truncated, hiding?.body),
          status,
        };
      });
    });
  }
}

function sampledSpan(span: Span | undefined): Span | undefined {
  return span && (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0 ? span : undefined;
}

/** JSON of a value; undefined when it has none or more than a recording holds. */
function plainJson(value: unknown): string | undefined {
  try {
    const text = JSON.stringify(value ?? null);
    return text.length <= bodyLimit ? text : undefined;
  } catch {
    return undefined;
  }
}
