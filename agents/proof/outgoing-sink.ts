// Outgoing sink: answers the calls that an app makes to the outside world from recordings; nothing of a proof goes out.
//
// Which recording answers a call (each rule only where the one before finds none):
// 1. same request, method, URL, body digest and number within the request;
// 2. same request, method and URL shape (ids in the path taken out) and number: the copy of the database has moved on
//    since the recording, so an id may be another; the two sides' calls are still compared exactly with each other;
// 3. in a proof about failures, a call repeated beyond its own recordings gets what a later request recorded for the
//    same key, in time order; when nothing was recorded later, the last answer again.
// Anything else is unmatched: 599, and the proof fails.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { OutgoingRecording } from "../../platform/telemetry/recording.ts";
import { bodyDigest, canonicalUrl } from "../../sdk/tracing/recording.ts";

export interface SinkCall {
  method: string;
  url: string;
  digest: string;
  /** What was answered; null when nothing fitted. */
  answer: OutgoingRecording | null;
  rule: "exact" | "shape" | "later" | "repeated" | "reference" | "unmatched";
}

export interface SinkScope {
  /** The recorded trace whose calls answer. */
  traceId: string;
  /** Answers that another side ended with, by key in order; used instead of the recordings. */
  reference?: Map<string, OutgoingRecording[]>;
}

export interface ScopeReport {
  calls: SinkCall[];
  /** Calls that the recording has and this replay did not make. */
  unused: number;
}

export interface OutgoingSink {
  readonly url: string;
  /** The request that is replayed now; calls are its own until the next one. */
  begin(scope: SinkScope): void;
  end(): ScopeReport;
  pending(): number;
  /** Calls outside any request, and connections that were refused because they are no HTTP call. */
  readonly outside: string[];
  readonly blocked: string[];
  close(): Promise<void>;
}

export interface SinkOptions {
  recordings: readonly OutgoingRecording[];
  /** Rule 3. */
  retries: boolean;
  /** Answers take as long as recorded, but no longer than this. */
  longestMs: number;
}

/** True for an answer that a retry may heal. */
export function isFailure(recording: OutgoingRecording): boolean {
  const { status } = recording;
  return status === null || status >= 500 || status === 429 || status === 408;
}

export const keyOf = (call: { method: string; url: string; digest: string }): string =>
  `${call.method} ${call.url} #${call.digest}`;

export async function startOutgoingSink(options: SinkOptions): Promise<OutgoingSink> {
  const byTrace = new Map<string, OutgoingRecording[]>();
  const byKey = new Map<string, OutgoingRecording[]>();
  // An answer that was not kept whole answers nothing; a call that failed has none.
  const whole = options.recordings.filter((recording) => recording.status === null || !recording.body.truncated);
  const ordered = whole.sort((a, b) => a.time - b.time);
  for (const recording of ordered) {
    append(byTrace, recording.traceId, recording);
    append(byKey, recordedKey(recording), recording);
  }
  const outside: string[] = [];
  const blocked: string[] = [];
  let scope: Scope | null = null;
  let waiting = 0;

  const choose = (method: string, url: string, digest: string): SinkCall => {
    const key = keyOf({ method, url, digest });
    if (scope === null) {
      outside.push(`${method} ${url}`);
      return { method, url, digest, answer: null, rule: "unmatched" };
    }
    const call = scope.answer(key, method, url, digest, options.retries ? byKey : null);
    scope.calls.push(call);
    return call;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (request.url === "/__blocked") {
      blocked.push(body.toString("utf8").slice(0, 300));
      response.writeHead(204).end();
      return;
    }
    const original = header(request, "x-tsdev-original-url") ?? request.url ?? "/";
    const digest = bodyDigest(header(request, "content-type"), body);
    const { answer } = choose(request.method ?? "GET", canonical(original), digest);
    if (answer === null) {
      response.writeHead(599, { "content-type": "text/plain" }).end("tsdev proof: no recording answers this call\n");
      return;
    }
    const takes = Math.min(answer.durationMs, options.longestMs);
    if (takes >= 1) await new Promise((settle) => setTimeout(settle, takes));
    if (answer.status === null) {
      response.writeHead(502, { "x-tsdev-error": answer.error ?? "ECONNRESET" }).end();
      return;
    }
    const content = Buffer.from(answer.body.text, answer.body.base64 ? "base64" : "utf8");
    response.writeHead(answer.status, forwardable(answer.headers));
    response.end(answer.status === 204 || answer.status === 304 || request.method === "HEAD" ? undefined : content);
  };

  const server: Server = createServer((request, response) => {
    waiting += 1;
    handle(request, response)
      .catch(() => response.destroy())
      .finally(() => {
        waiting -= 1;
      });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((settle, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", settle);
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    begin(next) {
      scope = new Scope(byTrace.get(next.traceId) ?? [], next.reference);
    },
    end() {
      const calls = scope?.calls ?? [];
      const unused = scope?.unused() ?? 0;
      scope = null;
      return { calls, unused };
    },
    pending: () => waiting,
    outside,
    blocked,
    close: () =>
      new Promise((settle) => {
        server.closeAllConnections();
        server.close(() => settle());
      }),
  };
}

/** The calls of one replayed request and the recordings that answer them. */
class Scope {
  readonly calls: SinkCall[] = [];
  readonly #left: Set<OutgoingRecording>;
  readonly #reference: Map<string, OutgoingRecording[]> | undefined;
  readonly #answered = new Map<string, OutgoingRecording[]>();

  constructor(own: OutgoingRecording[], reference: Map<string, OutgoingRecording[]> | undefined) {
    this.#left = new Set(own);
    this.#reference = reference;
  }

  unused(): number {
    return this.#left.size;
  }

  answer(
    key: string,
    method: string,
    url: string,
    digest: string,
    later: ReadonlyMap<string, OutgoingRecording[]> | null,
  ): SinkCall {
    const before = this.#answered.get(key) ?? [];
    const found = this.#find(key, method, url, before, later);
    if (found.answer !== null) {
      this.#left.delete(found.answer);
      this.#answered.set(key, [...before, found.answer]);
    }
    return { method, url, digest, ...found };
  }

  #find(
    key: string,
    method: string,
    url: string,
    before: readonly OutgoingRecording[],
    later: ReadonlyMap<string, OutgoingRecording[]> | null,
  ): Pick<SinkCall, "answer" | "rule"> {
    const reference = this.#reference?.get(key);
    if (reference !== undefined) {
      const answer = reference[Math.min(before.length, reference.length - 1)];
      if (answer !== undefined) return { answer, rule: "reference" };
    }
    for (const recording of this.#left) {
      if (recordedKey(recording) === key) return { answer: recording, rule: "exact" };
    }
    const first = before[0];
    const shape = shapeOf(method, url);
    // A call that was answered before is a repeat, not another call of the same shape.
    if (first === undefined || later === null) {
      for (const recording of this.#left) {
        if (shapeOf(recording.method, canonical(recording.url)) === shape) return { answer: recording, rule: "shape" };
      }
    }
    const last = before.at(-1);
    if (later === null || last === undefined) return { answer: null, rule: "unmatched" };
    const next = (later.get(recordedKey(last)) ?? []).find((recording) => recording.time > last.time);
    return next === undefined ? { answer: last, rule: "repeated" } : { answer: next, rule: "later" };
  }
}

/**
 * What the calls of one side ended with: an answer that failed and was asked for again does not count.
 * With these answers the base version shows what it does when the call succeeds at once.
 */
export function finalAnswers(calls: readonly SinkCall[]): Map<string, OutgoingRecording[]> {
  const answers = new Map<string, OutgoingRecording[]>();
  for (const call of calls) {
    if (call.answer === null) continue;
    const key = keyOf(call);
    const list = answers.get(key) ?? [];
    const last = list.at(-1);
    if (last !== undefined && isFailure(last)) list.pop();
    list.push(call.answer);
    answers.set(key, list);
  }
  return answers;
}

function recordedKey(recording: OutgoingRecording): string {
  return keyOf({ method: recording.method, url: canonical(recording.url), digest: recording.bodyDigest });
}

function canonical(url: string): string {
  return URL.canParse(url) ? canonicalUrl(url) : url;
}

/** Numbers, UUIDs and long random words in the path and the query's values are taken out. */
function shapeOf(method: string, url: string): string {
  const id = /(?<=[/=_-])(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|(?=[\w-]*\d)[\w-]{12,})(?=[/?&#]|$)/gi;
  return `${method} ${url.replaceAll(id, "{id}")}`;
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The recorded body is decoded and whole: how it was packed on the way does not hold any more. */
function forwardable(headers: Record<string, string>): Record<string, string> {
  const dropped = new Set([
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "date",
  ]);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name.toLowerCase())));
}
