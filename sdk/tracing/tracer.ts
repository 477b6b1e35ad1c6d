// Tracer: OpenTelemetry's Tracer over lean spans; whatever uses the API, instrumentations and the app, gets its spans here.
import {
  type Attributes,
  type Context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Span,
  SpanKind,
  type SpanOptions,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { ATTR_DB_QUERY_TEXT } from "@opentelemetry/semantic-conventions";
import { activeContext, inContext } from "./active-context.ts";
import { type CallSites, callSiteKey, type RawFrame } from "./call-site.ts";
import { fromTimeInput, onWall } from "./clock.ts";
import type { HeadSampler } from "./head-sampling.ts";
import { noteSite, type SitePolicy } from "./site-policy.ts";
import { newTraceIds, parentIdsOf, RecordedSpan, type Scope, traceIdsOf, UnsampledSpan } from "./span.ts";

// Further off than this a start is one of a replayed clock, milliseconds.
const believableMs = 60_000;

export interface SpanSource {
  readonly sampler: HeadSampler;
  readonly callSites: CallSites;
  readonly sites: SitePolicy;
  /** Given every span that ended. */
  readonly finished: (span: RecordedSpan) => void;
  /** Given where the clock that the app reads is not the real one. */
  readonly realNow: (() => number) | undefined;
}

export class LeanTracer implements Tracer {
  readonly scope: Scope;
  readonly source: SpanSource;

  constructor(scope: Scope, source: SpanSource) {
    this.scope = scope;
    this.source = source;
  }

  /**
   * A span below `parent`, without a look at limits, call sites or the context: for instrumentation of our own.
   * `attributes` becomes the span's own object.
   */
  begin(name: string, kind: SpanKind, attributes: Attributes, parent: Span | undefined): RecordedSpan | UnsampledSpan {
    const { sampler, finished } = this.source;
    if (parent instanceof RecordedSpan)
      return new RecordedSpan(
        this.scope,
        name,
        kind,
        parent,
        { span0: parent.span0, span1: parent.span1, remote: false },
        parent.traceState,
        attributes,
        finished,
      );
    if (parent instanceof UnsampledSpan) return parent;
    const above = parent?.spanContext();
    if (above && isSpanContextValid(above)) {
      const ids = traceIdsOf(above);
      const traceState = sampler.stateOf(above);
      if (!sampler.keepsBelow(above, ids.trace2, ids.trace3)) return new UnsampledSpan(ids, traceState);
      return new RecordedSpan(this.scope, name, kind, ids, parentIdsOf(above), traceState, attributes, finished);
    }
    const ids = newTraceIds();
    const traceState = sampler.stateOf(undefined);
    if (!sampler.keeps(ids.trace2, ids.trace3)) return new UnsampledSpan(ids, traceState);
    return new RecordedSpan(this.scope, name, kind, ids, undefined, traceState, attributes, finished);
  }

  startSpan(name: string, options: SpanOptions = {}, active: Context = activeContext()): Span {
    if (isTracingSuppressed(active)) return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    const parent = options.root ? undefined : trace.getSpan(active);
    if (parent instanceof UnsampledSpan) return parent;
    const kind = options.kind ?? SpanKind.INTERNAL;
    const span = this.begin(name, kind, {}, parent);
    if (!(span instanceof RecordedSpan)) return span;
    if (options.attributes) span.setAttributes(options.attributes);
    if (options.startTime !== undefined) this.#startAt(span, fromTimeInput(options.startTime));
    if (options.links) span.addLinks(options.links);
    if (kind === SpanKind.CLIENT || kind === SpanKind.PRODUCER) this.#place(span, parent, active);
    return span;
  }

  startActiveSpan<F extends (span: Span) => ReturnType<F>>(
    name: string,
    ...rest: [F] | [SpanOptions, F] | [SpanOptions, Context, F]
  ): ReturnType<F> {
    const fn = rest.at(-1) as F;
    const options = rest.length > 1 ? (rest[0] as SpanOptions) : {};
    const parent = rest.length > 2 ? (rest[1] as Context) : activeContext();
    const span = this.startSpan(name, options, parent);
    return inContext(trace.setSpan(parent, span), () => fn(span));
  }

  // A start that was given may be some seconds old; a replayed clock is off by more.
  #startAt(span: RecordedSpan, at: number): void {
    const { realNow } = this.source;
    if (realNow && Math.abs(onWall(at) - realNow()) > believableMs) return;
    span.startedAt = at;
  }

  #place(span: RecordedSpan, parent: Span | undefined, active: Context): void {
    const { callSites, sites } = this.source;
    const statement = span.attributes[ATTR_DB_QUERY_TEXT];
    const above = parent instanceof RecordedSpan ? parent : undefined;
    if (typeof statement === "string" && !sites.wants(span, above, statement)) return;
    span.site = callSites.capture(startOfSpan);
    span.entrySite = active.getValue(callSiteKey) as RawFrame[] | undefined;
    noteSite(span);
  }
}

// The engine leaves out this function's frame and all below it.
const startOfSpan = LeanTracer.prototype.startSpan;

export class LeanTracerProvider implements TracerProvider {
  readonly #source: SpanSource;
  readonly #tracers = new Map<string, LeanTracer>();

  constructor(source: SpanSource) {
    this.#source = source;
  }

  getTracer(name: string, version = ""): LeanTracer {
    const key = `${name}@${version}`;
    let tracer = this.#tracers.get(key);
    if (!tracer) {
      tracer = new LeanTracer({ name, version }, this.#source);
      this.#tracers.set(key, tracer);
    }
    return tracer;
  }
}
