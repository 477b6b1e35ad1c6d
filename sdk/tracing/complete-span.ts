// Complete span: what is too dear for the hot path, done when a batch is encoded: names, places in the source, redaction.
import { isAbsolute } from "node:path";
import { SpanKind } from "@opentelemetry/api";
import {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_FUNCTION_NAME,
  ATTR_CODE_LINE_NUMBER,
  ATTR_DB_QUERY_TEXT,
  ATTR_EXCEPTION_MESSAGE,
  ATTR_EXCEPTION_STACKTRACE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_ROUTE,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
} from "@opentelemetry/semantic-conventions";
import { redactText, redactUrl } from "./redaction.ts";
import { urlTemplate } from "./route.ts";
import { siblingSite } from "./site-policy.ts";
import type { SourceFrame, SourceFrames } from "./source-frames.ts";
import type { RecordedSpan } from "./span.ts";

/** JSON array of up to five `"file:line:function"`, innermost first; `<anonymous>` where there is no name. */
export const ATTR_CODE_FRAMES = "tsdev.code.frames";
/** True where the place is not the span's own but that of its siblings: same statement, same parent. */
export const ATTR_CODE_LENT = "tsdev.code.lent";
// In semconv still a development name, but the only one for it.
const ATTR_URL_TEMPLATE = "url.template";

// Texts repeat, so a look at each is paid once; the ones of a request with its own text in the path are not worth more.
const knownTexts = 2_000;

/** A function of a text whose answers are kept for a while. */
function remembered(make: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    let made = known.get(text);
    if (made === undefined) {
      made = make(text);
      if (known.size >= knownTexts) known.clear();
      known.set(text, made);
    }
    return made;
  };
}

const cleanText = remembered(redactText);
const cleanUrl = remembered(redactUrl);
const templateOfPath = remembered(urlTemplate);
const templateOfUrl = remembered((url) => urlTemplate(URL.parse(url)?.pathname ?? "/"));
const cleanQuery = remembered((query) => {
  const mark = query.startsWith("?") ? "" : "?";
  return redactUrl(mark + query).slice(mark.length);
});

export class SpanCompletion {
  readonly #sources: SourceFrames;

  constructor(sources: SourceFrames) {
    this.#sources = sources;
  }

  complete(span: RecordedSpan): void {
    const { attributes } = span;
    const method = attributes[ATTR_HTTP_REQUEST_METHOD];
    if (typeof method === "string") nameByRoute(span, method);
    const frames = this.#framesOf(span);
    const first = frames?.[0];
    if (frames && first) {
      attributes[ATTR_CODE_FILE_PATH] = first.file;
      attributes[ATTR_CODE_LINE_NUMBER] = first.line;
      if (first.function !== null) attributes[ATTR_CODE_FUNCTION_NAME] = first.function;
      attributes[ATTR_CODE_FRAMES] = `[${frames.map(jsonOf).join()}]`;
    } else this.#completeOwnPlace(span);
    redact(span);
  }

  #framesOf(span: RecordedSpan): SourceFrame[] | undefined {
    const { site, entrySite } = span;
    if (site === undefined && entrySite === undefined) {
      const sibling = siblingSite(span);
      if (sibling === undefined) return undefined;
      span.attributes[ATTR_CODE_LENT] = true;
      return this.#sources.resolve(sibling);
    }
    const own = site && this.#sources.resolve(site);
    return own && own.length > 0 ? own : entrySite && this.#sources.resolve(entrySite);
  }

  // Spans of workflows say where their node was declared, with the path that the engine has.
  #completeOwnPlace({ attributes }: RecordedSpan): void {
    const file = attributes[ATTR_CODE_FILE_PATH];
    if (typeof file !== "string" || !isAbsolute(file)) return;
    const line = Number(attributes[ATTR_CODE_LINE_NUMBER] ?? 0);
    const [frame] = this.#sources.resolve([{ file, line, column: 1, name: null }]);
    if (!frame) return;
    attributes[ATTR_CODE_FILE_PATH] = frame.file;
    attributes[ATTR_CODE_LINE_NUMBER] = frame.line;
  }
}

const jsonOf = ({ json }: SourceFrame): string => json;

function nameByRoute(span: RecordedSpan, method: string): void {
  const { attributes } = span;
  const route = attributes[ATTR_HTTP_ROUTE];
  if (typeof route === "string") {
    if (span.kind === SpanKind.SERVER) span.name = `${method} ${route}`;
    return;
  }
  const template = attributes[ATTR_URL_TEMPLATE] ?? templateOf(span);
  if (typeof template !== "string") return;
  attributes[ATTR_URL_TEMPLATE] = template;
  span.name = `${method} ${template}`;
}

function templateOf({ attributes }: RecordedSpan): string | undefined {
  const path = attributes[ATTR_URL_PATH];
  if (typeof path === "string") return templateOfPath(path);
  const full = attributes[ATTR_URL_FULL];
  return typeof full === "string" ? templateOfUrl(full) : undefined;
}

function redact(span: RecordedSpan): void {
  const { attributes, events, status } = span;
  const path = attributes[ATTR_URL_PATH];
  if (typeof path === "string") attributes[ATTR_URL_PATH] = cleanUrl(path);
  const full = attributes[ATTR_URL_FULL];
  if (typeof full === "string") attributes[ATTR_URL_FULL] = cleanUrl(full);
  const query = attributes[ATTR_URL_QUERY];
  if (typeof query === "string" && query !== "") attributes[ATTR_URL_QUERY] = cleanQuery(query);
  const statement = attributes[ATTR_DB_QUERY_TEXT];
  if (typeof statement === "string") attributes[ATTR_DB_QUERY_TEXT] = cleanText(statement);
  // A driver's message may have the connection string in it, or the row that was refused.
  if (status.message !== undefined) span.status = { code: status.code, message: cleanText(status.message) };
  for (const event of events ?? []) {
    for (const name of [ATTR_EXCEPTION_MESSAGE, ATTR_EXCEPTION_STACKTRACE]) {
      const text = event.attributes[name];
      if (typeof text === "string") event.attributes[name] = cleanText(text);
    }
  }
}
