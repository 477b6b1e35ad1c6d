// Span processor: gives outgoing spans their call site, server spans their route, and hands finished spans to delivery.
import { isAbsolute } from "node:path";
import { type Context, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import type { ReadableSpan, Span, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_FUNCTION_NAME,
  ATTR_CODE_LINE_NUMBER,
  ATTR_DB_QUERY_TEXT,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_ROUTE,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
} from "@opentelemetry/semantic-conventions";
import { type CallSites, callSiteKey, type RawFrame } from "./call-site.ts";
import { redactText, redactUrl } from "./redaction.ts";
import { urlTemplate } from "./route.ts";
import type { SourceFrames } from "./source-frames.ts";

/** JSON array of up to five `"file:line:function"`, innermost first; `<anonymous>` where there is no name. */
export const ATTR_CODE_FRAMES = "tsdev.code.frames";
// In semconv still a development name, but the only one for it.
const ATTR_URL_TEMPLATE = "url.template";

const poolConnect = "pg-pool.connect";
// Statement texts repeat, so a look at each is paid once.
const knownStatements = 2_000;

interface Place {
  own: RawFrame[];
  entry: RawFrame[] | undefined;
}

export class CallSiteProcessor implements SpanProcessor {
  readonly #callSites: CallSites;
  readonly #sources: SourceFrames;
  readonly #finished: (span: ReadableSpan) => void;
  readonly #realNow: (() => number) | undefined;
  readonly #places = new WeakMap<ReadableSpan, Place>();
  readonly #statements = new Map<string, string>();

  /** `realNow` is given where the clock that spans read is not the real one. */
  constructor(
    callSites: CallSites,
    sources: SourceFrames,
    finished: (span: ReadableSpan) => void,
    realNow?: () => number,
  ) {
    this.#callSites = callSites;
    this.#sources = sources;
    this.#finished = finished;
    this.#realNow = realNow;
  }

  onStart(span: Span, parent: Context): void {
    if (this.#realNow) keepRealTime(span, this.#realNow());
    if (span.kind !== SpanKind.CLIENT && span.kind !== SpanKind.PRODUCER) return;
    if (span.name === poolConnect) return;
    reparent(span, parent);
    this.#places.set(span, {
      own: this.#callSites.capture(startOfSpan),
      entry: parent.getValue(callSiteKey) as RawFrame[] | undefined,
    });
  }

  /** The span can still be written here, and everything that names its route has had its turn. */
  onEnding(span: Span): void {
    const method = span.attributes[ATTR_HTTP_REQUEST_METHOD];
    if (typeof method !== "string") return;
    const route = span.attributes[ATTR_HTTP_ROUTE];
    if (typeof route === "string") {
      if (span.kind === SpanKind.SERVER) span.updateName(`${method} ${route}`);
      return;
    }
    const template = span.attributes[ATTR_URL_TEMPLATE] ?? templateOf(span);
    if (typeof template !== "string") return;
    span.setAttribute(ATTR_URL_TEMPLATE, template);
    span.updateName(`${method} ${template}`);
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return;
    // Every query has one, and it says nothing unless it failed.
    if (span.name === poolConnect && span.status.code !== SpanStatusCode.ERROR) return;
    this.#finished(span);
  }

  /** What is too dear for the hot path, done when a batch is encoded. */
  complete(span: ReadableSpan): void {
    const attributes = span.attributes;
    const place = this.#places.get(span);
    if (place) {
      this.#places.delete(span);
      let frames = this.#sources.resolve(place.own);
      if (frames.length === 0 && place.entry) frames = this.#sources.resolve(place.entry);
      const [first] = frames;
      if (first) {
        attributes[ATTR_CODE_FILE_PATH] = first.file;
        attributes[ATTR_CODE_LINE_NUMBER] = first.line;
        if (first.function !== null) attributes[ATTR_CODE_FUNCTION_NAME] = first.function;
        attributes[ATTR_CODE_FRAMES] = JSON.stringify(
          frames.map((frame) => `${frame.file}:${frame.line}:${frame.function ?? "<anonymous>"}`),
        );
      }
    } else this.#completeOwnPlace(attributes);
    for (const name of [ATTR_URL_FULL, ATTR_URL_PATH]) {
      const url = attributes[name];
      if (typeof url === "string") attributes[name] = redactUrl(url);
    }
    const query = attributes[ATTR_URL_QUERY];
    if (typeof query === "string" && query !== "") attributes[ATTR_URL_QUERY] = redactQuery(query);
    const statement = attributes[ATTR_DB_QUERY_TEXT];
    if (typeof statement === "string") attributes[ATTR_DB_QUERY_TEXT] = this.#cleanStatement(statement);
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}

  // Spans of workflows say where their node was declared, with the path that the engine has.
  #completeOwnPlace(attributes: ReadableSpan["attributes"]): void {
    const file = attributes[ATTR_CODE_FILE_PATH];
    if (typeof file !== "string" || !isAbsolute(file)) return;
    const line = Number(attributes[ATTR_CODE_LINE_NUMBER] ?? 0);
    const [frame] = this.#sources.resolve([{ file, line, column: 1, name: null }]);
    if (!frame) return;
    attributes[ATTR_CODE_FILE_PATH] = frame.file;
    attributes[ATTR_CODE_LINE_NUMBER] = frame.line;
  }

  #cleanStatement(statement: string): string {
    let clean = this.#statements.get(statement);
    if (clean === undefined) {
      clean = redactText(statement);
      if (this.#statements.size >= knownStatements) this.#statements.clear();
      this.#statements.set(statement, clean);
    }
    return clean;
  }
}

// The engine leaves out this function's frame and all below it.
const startOfSpan = CallSiteProcessor.prototype.onStart;

function templateOf(span: Span): string | undefined {
  const path = span.attributes[ATTR_URL_PATH];
  if (typeof path === "string") return urlTemplate(path);
  const full = span.attributes[ATTR_URL_FULL];
  return typeof full === "string" ? urlTemplate(URL.parse(full)?.pathname ?? "/") : undefined;
}

// The span that is dropped at export must not be anyone's parent.
function reparent(span: Span, parent: Context): void {
  const above = trace.getSpan(parent) as (ReadableSpan & { name?: string }) | undefined;
  if (above?.name !== poolConnect) return;
  Object.assign(span, { parentSpanContext: above.parentSpanContext });
}

// A start that was given explicitly may be some seconds old; a replayed clock is off by more.
function keepRealTime(span: Span, now: number): void {
  const started = span.startTime[0] * 1000 + span.startTime[1] / 1e6;
  if (Math.abs(started - now) < 60_000) return;
  Object.assign(span, { startTime: [Math.trunc(now / 1000), Math.round((now % 1000) * 1e6)] });
}

function redactQuery(query: string): string {
  const mark = query.startsWith("?") ? "" : "?";
  return redactUrl(mark + query).slice(mark.length);
}
