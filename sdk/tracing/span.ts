// Span: a recorded one with as little work as its request can be charged with, and one that is not sampled.
import {
  type Attributes,
  type AttributeValue,
  type Exception,
  type HrTime,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
  TraceFlags,
  type TraceState,
} from "@opentelemetry/api";
import {
  ATTR_EXCEPTION_MESSAGE,
  ATTR_EXCEPTION_STACKTRACE,
  ATTR_EXCEPTION_TYPE,
} from "@opentelemetry/semantic-conventions";
import type { RawFrame } from "./call-site.ts";
import { fromTimeInput, hrTimeOf, monotonic } from "./clock.ts";
import type { Repeats } from "./site-policy.ts";

/** The instrumentation that a span comes from. */
export interface Scope {
  readonly name: string;
  readonly version: string;
}

export interface SpanEvent {
  name: string;
  /** Of the process's clock, milliseconds. */
  at: number;
  attributes: Attributes;
}

// The defaults of OpenTelemetry's span limits.
const attributeLimit = 128;
const eventLimit = 128;
const linkLimit = 128;
/** A generated IN list can have megabytes; UTF-16 units. */
export const valueLimit = 16_384;

// Kept before a deterministic replay replaces it: an id must not be a draw of the app's.
const { random } = Math;

/** 32 random bits as a signed integer, never zero: an id of zeros alone is not valid. */
function word(): number {
  return (random() * 0xffff_ffff + 1) | 0 || 1;
}

/** The ids of a span as integers: hexadecimal is made only for those who ask. */
class Identity {
  trace0: number;
  trace1: number;
  trace2: number;
  trace3: number;
  span0: number;
  span1: number;
  #context: SpanContext | undefined;

  constructor(ids: TraceIds) {
    this.trace0 = ids.trace0;
    this.trace1 = ids.trace1;
    this.trace2 = ids.trace2;
    this.trace3 = ids.trace3;
    this.span0 = word();
    this.span1 = word();
  }

  protected contextWith(traceFlags: TraceFlags, traceState: TraceState | undefined): SpanContext {
    this.#context ??= {
      traceId: hex(this.trace0) + hex(this.trace1) + hex(this.trace2) + hex(this.trace3),
      spanId: hex(this.span0) + hex(this.span1),
      traceFlags,
      ...(traceState ? { traceState } : {}),
    };
    return this.#context;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** A word of an id in hexadecimal; `at` in characters. */
function wordOf(id: string, at: number): number {
  return Number.parseInt(id.slice(at, at + 8), 16) | 0;
}

/** Stands for every span of a trace that is not sampled: its children are itself. */
export class UnsampledSpan extends Identity implements Span {
  readonly #traceState: TraceState | undefined;

  constructor(ids: TraceIds, traceState: TraceState | undefined) {
    super(ids);
    this.#traceState = traceState;
  }

  spanContext(): SpanContext {
    return this.contextWith(TraceFlags.NONE, this.#traceState);
  }
  setAttribute(): this {
    return this;
  }
  setAttributes(): this {
    return this;
  }
  addEvent(): this {
    return this;
  }
  addLink(): this {
    return this;
  }
  addLinks(): this {
    return this;
  }
  setStatus(): this {
    return this;
  }
  updateName(): this {
    return this;
  }
  end(): void {}
  isRecording(): boolean {
    return false;
  }
  recordException(): void {}
}

/** A trace's id in four words; a span is one too, for its children. */
export interface TraceIds {
  trace0: number;
  trace1: number;
  trace2: number;
  trace3: number;
}

export function newTraceIds(): TraceIds {
  return { trace0: word(), trace1: word(), trace2: word(), trace3: word() };
}

export function traceIdsOf({ traceId }: SpanContext): TraceIds {
  return {
    trace0: wordOf(traceId, 0),
    trace1: wordOf(traceId, 8),
    trace2: wordOf(traceId, 16),
    trace3: wordOf(traceId, 24),
  };
}

export interface ParentIds {
  span0: number;
  span1: number;
  remote: boolean;
}

export function parentIdsOf(context: SpanContext): ParentIds {
  return { span0: wordOf(context.spanId, 0), span1: wordOf(context.spanId, 8), remote: context.isRemote === true };
}

/** Given the span when it has ended. */
export type Finished = (span: RecordedSpan) => void;

/** A span that will be sent. `attributes` of the constructor becomes the span's own and is not looked at. */
export class RecordedSpan extends Identity implements Span {
  name: string;
  readonly kind: SpanKind;
  readonly scope: Scope;
  readonly traceState: TraceState | undefined;
  /** Undefined for the first span of a trace. */
  readonly parent: ParentIds | undefined;
  attributes: Attributes;
  /** Of the process's clock, milliseconds. */
  startedAt: number;
  endedAt = 0;
  ended = false;
  status: SpanStatus = unset;
  events: SpanEvent[] | undefined = undefined;
  links: Link[] | undefined = undefined;
  droppedAttributes = 0;
  droppedEvents = 0;
  droppedLinks = 0;
  /** The app's frames when it started; undefined where none were looked for. */
  site: RawFrame[] | undefined = undefined;
  /** The place of the call that led here, where the stack itself has no frame of the app. */
  entrySite: RawFrame[] | undefined = undefined;
  /** How often the same statement was made below this span's parent. */
  repeats: Repeats | undefined = undefined;
  /** How many places were known of them when this one started. */
  repeatsSeen = 0;
  /** The statements made below this span. */
  statements: Map<string, Repeats> | undefined = undefined;
  // Unknown until the first is added: most spans of our own have all theirs from the start.
  #count = -1;
  readonly #finished: Finished;

  constructor(
    scope: Scope,
    name: string,
    kind: SpanKind,
    ids: TraceIds,
    parent: ParentIds | undefined,
    traceState: TraceState | undefined,
    attributes: Attributes,
    finished: Finished,
  ) {
    super(ids);
    this.scope = scope;
    this.name = name;
    this.kind = kind;
    this.parent = parent;
    this.traceState = traceState;
    this.attributes = attributes;
    this.#finished = finished;
    this.startedAt = monotonic();
  }

  get startTime(): HrTime {
    return hrTimeOf(this.startedAt);
  }

  spanContext(): SpanContext {
    return this.contextWith(TraceFlags.SAMPLED, this.traceState);
  }

  setAttribute(key: string, value: AttributeValue): this {
    if (value === undefined || value === null || this.ended || key === "") return this;
    const kept = limited(value);
    if (kept === undefined) return this;
    if (this.attributes[key] === undefined) {
      if (this.#count < 0) this.#count = countOf(this.attributes);
      if (this.#count >= attributeLimit) {
        this.droppedAttributes += 1;
        return this;
      }
      this.#count += 1;
    }
    this.attributes[key] = kept;
    return this;
  }

  setAttributes(attributes: Attributes): this {
    for (const key in attributes) this.setAttribute(key, attributes[key] as AttributeValue);
    return this;
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.ended) return this;
    const first = isTime(attributesOrTime) ? attributesOrTime : undefined;
    const attributes = first === undefined ? ((attributesOrTime as Attributes | undefined) ?? {}) : {};
    this.events ??= [];
    if (this.events.length >= eventLimit) {
      this.events.shift();
      this.droppedEvents += 1;
    }
    this.events.push({ name, at: fromTimeInput(first ?? time), attributes: limitedAll(attributes) });
    return this;
  }

  addLink(link: Link): this {
    if (this.ended) return this;
    this.links ??= [];
    if (this.links.length >= linkLimit) this.droppedLinks += 1;
    else this.links.push(link);
    return this;
  }

  addLinks(links: Link[]): this {
    for (const link of links) this.addLink(link);
    return this;
  }

  setStatus(status: SpanStatus): this {
    // What was set to OK by the app stays, and a status never goes back to unset.
    if (this.ended || status.code === SpanStatusCode.UNSET || this.status.code === SpanStatusCode.OK) return this;
    this.status =
      status.code === SpanStatusCode.ERROR && typeof status.message === "string"
        ? { code: status.code, message: status.message }
        : { code: status.code };
    return this;
  }

  updateName(name: string): this {
    if (!this.ended) this.name = name;
    return this;
  }

  end(endTime?: TimeInput): void {
    if (this.ended) return;
    const at = endTime === undefined ? monotonic() : fromTimeInput(endTime);
    this.endedAt = Math.max(at, this.startedAt);
    this.ended = true;
    this.statements = undefined;
    this.#finished(this);
  }

  isRecording(): boolean {
    return !this.ended;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const attributes: Attributes = {};
    if (typeof exception === "string") attributes[ATTR_EXCEPTION_MESSAGE] = exception;
    else if (exception) {
      const type = exception.code?.toString() ?? exception.name;
      if (type) attributes[ATTR_EXCEPTION_TYPE] = type;
      if (exception.message) attributes[ATTR_EXCEPTION_MESSAGE] = exception.message;
      if (exception.stack) attributes[ATTR_EXCEPTION_STACKTRACE] = exception.stack;
    }
    this.addEvent("exception", attributes, time);
  }
}

const unset: SpanStatus = { code: SpanStatusCode.UNSET };

function isTime(value: Attributes | TimeInput | undefined): value is TimeInput {
  return typeof value === "number" || value instanceof Date || Array.isArray(value);
}

function countOf(attributes: Attributes): number {
  let count = 0;
  for (const key in attributes) if (attributes[key] !== undefined) count += 1;
  return count;
}

/** Undefined for what is no attribute's value. */
function limited(value: unknown): AttributeValue | undefined {
  if (typeof value === "string") return value.length > valueLimit ? value.slice(0, valueLimit) : value;
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (!Array.isArray(value)) return undefined;
  return value.map((item) => (typeof item === "string" && item.length > valueLimit ? item.slice(0, valueLimit) : item));
}

function limitedAll(attributes: Attributes): Attributes {
  const kept: Attributes = {};
  for (const key in attributes) {
    const value = limited(attributes[key]);
    if (value !== undefined) kept[key] = value;
  }
  return kept;
}
