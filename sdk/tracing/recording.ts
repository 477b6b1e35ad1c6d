// Recording: what the process sends for replay, and the key by which an outgoing call is found again.

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { redactText, redactUrl, redactValue } from "./redaction.ts";

/** A body as text, or base64 where it is not UTF-8; a truncated body is never replayed. */
export interface RecordedBody {
  text: string;
  base64: boolean;
  truncated: boolean;
}

interface RecordingBase {
  traceId: string;
  spanId: string;
  /** Milliseconds since the epoch. */
  time: number;
  durationMs: number;
}

/** An HTTP request that the app answered. */
export interface RequestRecording extends RecordingBase {
  kind: "request";
  method: string;
  /** Path and query. */
  path: string;
  /** The route as `http.route` or `url.template` has it. */
  route: string;
  headers: Record<string, string>;
  body: RecordedBody;
  status: number;
}

/** What the outside world answered to the app; `number` counts calls of one key within the trace, from 1. */
export interface OutgoingRecording extends RecordingBase {
  kind: "outgoing";
  method: string;
  url: string;
  bodyDigest: string;
  number: number;
  status: number | null;
  headers: Record<string, string>;
  body: RecordedBody;
  error: string | null;
}

/** One execution of a workflow. */
export interface RunRecording extends RecordingBase {
  kind: "run";
  workflow: string;
  runId: string;
  input: unknown;
  output: unknown;
  failed: boolean;
  requestSpanId: string | null;
}

/** One call of a procedure, or one attempt of it. */
export interface CallRecording extends RecordingBase {
  kind: "call";
  procedure: string;
  input: unknown;
  /** Null when it failed. */
  output: unknown;
  /** `type` as the span's `error.type` has it; `data` is that of a declared error. */
  error: { type: string; message: string; data: unknown } | null;
  requestSpanId: string | null;
}

export type Recording = RequestRecording | OutgoingRecording | RunRecording | CallRecording;

/** The most of a body that is kept, in bytes. */
export const bodyLimit = 64 * 1024;
/** The most of a body that is read into its digest, in bytes; the rest counts by its length. */
export const digestLimit = 1024 * 1024;

/**
 * The canonical, redacted form of a URL: origin, path and the query sorted by name, then value.
 * Recordings hold it, so a replay that looks a call up must use it too.
 */
export function canonicalUrl(url: string | URL): string {
  const parsed = typeof url === "string" ? new URL(url) : url;
  const clean = redactUrl(`${parsed.protocol}//${parsed.host}${parsed.pathname}${parsed.search}`);
  const question = clean.indexOf("?");
  if (question < 0) return clean;
  const pairs = clean
    .slice(question + 1)
    .split("&")
    .filter((pair) => pair !== "");
  return pairs.length === 0 ? clean.slice(0, question) : `${clean.slice(0, question)}?${pairs.sort().join("&")}`;
}

/**
 * SHA-256, hexadecimal, of the canonical body: JSON with sorted keys, form fields sorted, multipart without its
 * boundary, anything else as it is. It is taken after redaction, which is the same for a value and for what stands in
 * for it, so the digest of a recorded call and that of its replay are equal. Only the first `digestLimit` bytes are
 * read; give `length` where `body` is a part of more.
 */
export function bodyDigest(contentType: string | undefined, body: Uint8Array | string, length?: number): string {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const total = length ?? bytes.byteLength;
  if (total === 0) return createHash("sha256").digest("hex");
  if (total > digestLimit || bytes.byteLength < total) {
    const head = bytes.subarray(0, digestLimit);
    return createHash("sha256").update(head).update(`\n${total}`).digest("hex");
  }
  const canonical = isUtf8(bytes) ? canonicalBody(contentType ?? "", Buffer.from(bytes).toString("utf8")) : bytes;
  return createHash("sha256").update(canonical).digest("hex");
}

function canonicalBody(contentType: string, text: string): string {
  if (isJson(contentType) || (contentType === "" && /^\s*[[{]/.test(text))) {
    try {
      return JSON.stringify(sorted(redactValue(JSON.parse(text))));
    } catch {
      return redactText(text);
    }
  }
  if (contentType.startsWith("application/x-www-form-urlencoded")) {
    return redactUrl(`?${text}`).slice(1).split("&").sort().join("&");
  }
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  return redactText(boundary === undefined ? text : text.replaceAll(boundary, "boundary"));
}

function isJson(contentType: string): boolean {
  return /^[^;]*[/+]json\b/i.test(contentType);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

/**
 * A body as a recording keeps it: redacted, capped, text where it is UTF-8. `hide` takes out of its value what a contract
 * hides; a body of which that cannot be told is left out, and counts as truncated.
 */
export function recordedBody(
  contentType: string | undefined,
  bytes: Uint8Array,
  truncated: boolean,
  hide?: (value: unknown) => unknown,
): RecordedBody {
  const cut = truncated || bytes.byteLength > bodyLimit;
  if (hide && (cut || bytes.byteLength > 0)) return hiddenBody(bytes, cut, hide);
  const head = bytes.byteLength > bodyLimit ? bytes.subarray(0, bodyLimit) : bytes;
  if (!isUtf8(head) && !(cut && isUtf8(wholeCharacters(head)))) {
    return { text: Buffer.from(head).toString("base64"), base64: true, truncated: cut };
  }
  const text = Buffer.from(wholeCharacters(head)).toString("utf8");
  return { text: redactBody(contentType ?? "", text, cut), base64: false, truncated: cut };
}

function hiddenBody(bytes: Uint8Array, cut: boolean, hide: (value: unknown) => unknown): RecordedBody {
  if (!cut && isUtf8(bytes)) {
    try {
      const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
      return { text: JSON.stringify(redactValue(hide(value))), base64: false, truncated: false };
    } catch {
      // No JSON: where in it the contract's parts stand is not known.
    }
  }
  return { text: "", base64: false, truncated: true };
}

// A cut may fall within a character of up to four bytes.
function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let end = bytes.byteLength; end > bytes.byteLength - 4 && end > 0; end -= 1) {
    const part = bytes.subarray(0, end);
    if (isUtf8(part)) return part;
  }
  return bytes;
}

function redactBody(contentType: string, text: string, cut: boolean): string {
  if (!cut && (isJson(contentType) || /^\s*[[{]/.test(text))) {
    try {
      const value: unknown = JSON.parse(text);
      const clean = redactValue(value);
      // The author's own spacing is kept where nothing had to go.
      return JSON.stringify(clean) === JSON.stringify(value) ? text : JSON.stringify(clean);
    } catch {
      return redactText(text);
    }
  }
  if (contentType.startsWith("application/x-www-form-urlencoded")) return redactUrl(`?${text}`).slice(1);
  return redactText(text);
}

const requestHeaders = new Set([
  "accept",
  "accept-language",
  "content-encoding",
  "content-type",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "prefer",
  "range",
  "x-idempotency-key",
  "x-requested-with",
]);
const answerHeaders = new Set([
  "cache-control",
  "content-type",
  "etag",
  "last-modified",
  "link",
  "location",
  "retry-after",
  "x-total-count",
]);
const markedHeaders = new Set(["authorization", "cookie", "proxy-authorization", "x-api-key"]);

type HeaderValues = Record<string, string | string[] | number | undefined>;

/** The headers of a request that a recording keeps; of credentials only that there were some. */
export function recordedRequestHeaders(headers: HeaderValues): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const lower = name.toLowerCase();
    if (markedHeaders.has(lower)) kept[lower] = "[redacted]";
    else if (requestHeaders.has(lower)) kept[lower] = redactText(String(value));
  }
  return kept;
}

/** The headers of an answer that a recording keeps. */
export function recordedAnswerHeaders(headers: HeaderValues): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (value !== undefined && answerHeaders.has(lower)) kept[lower] = redactUrl(String(value));
  }
  return kept;
}
