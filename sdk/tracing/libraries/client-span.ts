// Client span: the span of one call of a database driver, from the call to its answer, and where the app made it.
import { type Attributes, type Context, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { ATTR_DB_QUERY_TEXT, ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import { activeContext } from "../active-context.ts";
import { callSiteKey, type RawFrame } from "../call-site.ts";
import { monotonic } from "../clock.ts";
import { noteSite, type SiteHolder } from "../site-policy.ts";
import { RecordedSpan, UnsampledSpan, valueLimit } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";

type AnyFunction = (...args: never[]) => unknown;

/** A call on its way to the connection that will make it. */
export interface Entry extends SiteHolder {
  readonly active: Context;
}

/** A call as its span shows it. */
export interface Call {
  name: string;
  /** Statement as it is grouped by: with placeholders in the place of values. */
  text: string | undefined;
  attributes: Attributes;
}

/** An entry of which no place is known. */
export function entryIn(active: Context): Entry {
  return { active, startedAt: 0, repeats: undefined, repeatsSeen: 0, site: undefined, entrySite: undefined };
}

/** Notes where a pool was asked; the call itself comes when the pool has a connection. */
export function entered(tracer: LeanTracer, text: string | undefined, below: AnyFunction): Entry {
  const active = activeContext();
  const entry = entryIn(active);
  const parent = trace.getSpan(active);
  if (parent instanceof UnsampledSpan) return entry;
  entry.startedAt = monotonic();
  try {
    place(tracer, entry, parent, text, active, below);
  } catch {
    // The app's call goes on without its place.
  }
  return entry;
}

/**
 * Starts the span of a call, below the span of `entry` or of the active context; undefined where nobody will see it, and
 * then nothing is described.
 */
export function begun(
  tracer: LeanTracer,
  describe: () => Call,
  below: AnyFunction,
  entry?: Entry,
  fallback?: RawFrame[],
): RecordedSpan | undefined {
  try {
    return begin(tracer, describe, below, entry, fallback);
  } catch {
    // What a library holds may be another thing than expected; its call goes on without a span.
    return undefined;
  }
}

function begin(
  tracer: LeanTracer,
  describe: () => Call,
  below: AnyFunction,
  entry: Entry | undefined,
  fallback: RawFrame[] | undefined,
): RecordedSpan | undefined {
  const active = entry?.active ?? activeContext();
  const parent = trace.getSpan(active);
  if (parent instanceof UnsampledSpan || isTracingSuppressed(active)) return undefined;
  const span = tracer.begin("", SpanKind.CLIENT, {}, parent);
  if (!(span instanceof RecordedSpan)) return undefined;
  const { name, text, attributes } = describe();
  attributes[ATTR_DB_QUERY_TEXT] = text !== undefined && text.length > valueLimit ? text.slice(0, valueLimit) : text;
  span.name = name;
  span.attributes = attributes;
  if (entry) {
    span.repeats = entry.repeats;
    span.repeatsSeen = entry.repeatsSeen;
    span.site = entry.site;
    span.entrySite = entry.entrySite;
  } else place(tracer, span, parent, text, active, below, fallback);
  return span;
}

function place(
  { source: { sites, callSites } }: LeanTracer,
  holder: SiteHolder,
  parent: Span | undefined,
  text: string | undefined,
  active: Context,
  below: AnyFunction,
  fallback?: RawFrame[],
): void {
  const above = parent instanceof RecordedSpan ? parent : undefined;
  if (text !== undefined && !sites.wants(holder, above, text)) return;
  holder.site = callSites.capture(below);
  holder.entrySite = (active.getValue(callSiteKey) as RawFrame[] | undefined) ?? fallback;
  noteSite(holder);
}

/** What a peer's error says of itself, without a value in it. */
export interface PeerError {
  type: string;
  attributes?: Attributes;
}

/** Ends a span; `describe` reads an error of the peer. Messages of servers quote values, so none is kept. */
export function finished(span: RecordedSpan, error: unknown, describe: (error: object) => PeerError): void {
  if (span.ended) return;
  if (error !== undefined && error !== null) {
    const { type, attributes } =
      typeof error === "object" ? describe(error) : ({ type: typeof error } satisfies PeerError as PeerError);
    span.setAttribute(ATTR_ERROR_TYPE, type);
    if (attributes) span.setAttributes(attributes);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** The promise that ends the span and is handed on in the place of `result`. */
export function ended<T>(
  span: RecordedSpan,
  result: PromiseLike<T>,
  describe: (error: object) => PeerError,
): PromiseLike<T> {
  return endedBy(result, (error) => finished(span, error, describe));
}

/**
 * The promise that calls `end` and is handed on in the place of `result`. A second reaction on `result` itself would cut
 * the app's stack, and make a rejection that nobody handles look like a handled one.
 */
export function endedBy<T>(result: PromiseLike<T>, end: (error: unknown) => void): PromiseLike<T> {
  return result.then(
    (value) => {
      end(undefined);
      return value;
    },
    (error: unknown) => {
      end(error);
      throw error;
    },
  );
}

/** The error's own code where it has one, else its class. */
export function errorType(error: object): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === "string" && code !== "") return code;
  return typeof name === "string" && name !== "" ? name : "Error";
}

const operations = new Map<string, string>();
const knownStatements = 2_000;

/** The first word of an SQL statement in capitals; what stands before it in comments is passed over. */
export function operationOf(text: string): string {
  let operation = operations.get(text);
  if (operation === undefined) {
    const start = text.slice(0, 1_000).replace(/^(?:\s+|--[^\n]*\n|\/\*[\s\S]*?\*\/|\()+/, "");
    operation = /^[A-Za-z]{1,32}/.exec(start)?.[0].toUpperCase() ?? "";
    if (operations.size >= knownStatements) operations.clear();
    operations.set(text, operation);
  }
  return operation;
}
