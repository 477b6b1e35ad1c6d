// Hidden parts: what the contract of a request hides is hidden in the request's recording and span, too.
import { context, createContextKey, type Span, trace } from "@opentelemetry/api";
import type { Context } from "hono";
import type { z } from "zod";
import { holdsSensitive, holdsSensitiveUnder, redact, redacted } from "../procedures/redaction.ts";
import { activeRecorder } from "../recorder.ts";
import { ATTR_URL_PATH, ATTR_URL_QUERY } from "../semantic-conventions.ts";
import type { Places } from "./request-input.ts";

/** Where instrumentations of servers keep the request's span: `getRPCMetadata` of `@opentelemetry/core`, without its weight. */
const serverKey = createContextKey("OpenTelemetry SDK Context Key RPC_METADATA");

/** Must be called within the request, before it is answered. */
export type HideParts = (c: Context) => void;

/** Undefined when the contract hides nothing. `places`: where its keys stand beside the body. */
export function hidePartsOf(contract: z.ZodType, places?: Places): HideParts | undefined {
  if (!holdsSensitive(contract)) return undefined;
  const isHidden = (key: string) => holdsSensitiveUnder(contract, key);
  const ofPath = places?.path.filter(isHidden) ?? [];
  const headers = Object.entries(places?.headers ?? {}).flatMap(([key, name]) =>
    isHidden(key) ? name.toLowerCase() : [],
  );
  const inQuery = (name: string) => places !== undefined && (places.query?.includes(name) ?? true) && isHidden(name);
  const body = (value: unknown) => redact(contract, value);
  return (c) => {
    const values = ofPath.flatMap((key) => c.req.param(key) ?? []);
    const url = (whole: string) => {
      const [path, query] = partsOf(whole);
      const clean = withoutValues(path, values);
      return query === undefined ? clean : `${clean}?${withoutParameters(query, inQuery)}`;
    };
    activeRecorder()?.hide?.({ url, headers, body });
    if (!places) return;
    const server = context.active().getValue(serverKey) as { span?: Span } | undefined;
    const span = server?.span ?? trace.getActiveSpan();
    if (!span?.isRecording()) return;
    const { pathname, search } = new URL(c.req.url);
    const [path, query] = partsOf(url(pathname + search));
    if (path !== pathname) span.setAttribute(ATTR_URL_PATH, path);
    if (query !== undefined && `?${query}` !== search) span.setAttribute(ATTR_URL_QUERY, query);
  };
}

function partsOf(url: string): [path: string, query: string | undefined] {
  const mark = url.indexOf("?");
  return mark < 0 ? [url, undefined] : [url.slice(0, mark), url.slice(mark + 1)];
}

function withoutValues(path: string, values: readonly string[]): string {
  if (values.length === 0) return path;
  // A parameter with a pattern of its own may go over several segments.
  if (values.some((value) => value.includes("/"))) return `/${redacted}`;
  return path
    .split("/")
    .map((segment) => (values.includes(decoded(segment)) ? redacted : segment))
    .join("/");
}

function withoutParameters(query: string, isHidden: (name: string) => boolean): string {
  const hidden = encodeURIComponent(redacted);
  return query
    .split("&")
    .map((pair) => {
      const name = pair.split("=", 1)[0]!;
      return isHidden(decoded(name.replaceAll("+", " "))) ? `${name}=${hidden}` : pair;
    })
    .join("&");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
