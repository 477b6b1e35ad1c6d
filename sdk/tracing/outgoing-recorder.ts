// Outgoing recorder: what the outside world answered while a recorded request was being handled.
import { subscribe } from "node:diagnostics_channel";
import type http from "node:http";
import type { Span } from "@opentelemetry/api";
import { BodyTap, decodedBytes, tapIncoming } from "./body-tap.ts";
import { bodyDigest, canonicalUrl, digestLimit, recordedAnswerHeaders, recordedBody } from "./recording.ts";
import type { UndiciRequestLike } from "./replay/original-url.ts";
import type { PendingRecording } from "./request-recorder.ts";
import { currentScope } from "./request-scope.ts";

interface Call {
  traceId: string;
  spanId: string;
  method: string;
  url: string;
  time: number;
  started: number;
  sent: BodyTap;
  sentType(): string | undefined;
  received: BodyTap | undefined;
  status: number | null;
  answerHeaders: Record<string, string | string[] | undefined>;
  done: boolean;
}

// Numbers of traces that are long over are forgotten.
const knownTraces = 2_000;
const noCode = "ERR_UNKNOWN";

export class OutgoingRecorder {
  readonly #keep: (recording: PendingRecording) => void;
  readonly #numbers = new Map<string, Map<string, number>>();
  readonly #undiciCalls = new WeakMap<object, Call>();

  constructor(keep: (recording: PendingRecording) => void) {
    this.#keep = keep;
    this.#listenToUndici();
  }

  /** A request of node:http or node:https was made and not yet ended. */
  httpRequest(span: Span, request: http.ClientRequest): void {
    if (!currentScope()?.recorded) return;
    const call = this.#begin(span, request.method, urlOf(request), () => headerText(request.getHeader("content-type")));
    if (call) watchHttp(request, call, (error) => this.#end(call, error));
  }

  /** A request of fetch or undici was made. */
  undiciRequest(span: Span, request: UndiciRequestLike): void {
    if (!currentScope()?.recorded) return;
    const url = URL.canParse(request.path, String(request.origin))
      ? new URL(request.path, String(request.origin))
      : undefined;
    if (!url) return;
    const call = this.#begin(span, request.method, url, () => undiciHeader(request.headers, "content-type"));
    if (call) this.#undiciCalls.set(request, call);
  }

  #begin(span: Span, method: string, url: URL | undefined, sentType: () => string | undefined): Call | undefined {
    if (!url) return undefined;
    const { traceId, spanId } = span.spanContext();
    return {
      traceId,
      spanId,
      method: method.toUpperCase(),
      url: canonicalUrl(url),
      time: Date.now(),
      started: performance.now(),
      sent: new BodyTap(),
      sentType,
      received: undefined,
      status: null,
      answerHeaders: {},
      done: false,
    };
  }

  #listenToUndici(): void {
    const on = (channel: string, act: (call: Call, message: Record<string, unknown>) => void) => {
      subscribe(channel, (message) => {
        const data = message as Record<string, unknown>;
        const call = this.#undiciCalls.get(data.request as object);
        if (call) act(call, data);
      });
    };
    on("undici:request:bodyChunkSent", (call, { chunk }) => call.sent.write(chunk));
    on("undici:request:headers", (call, { response }) => {
      const answer = response as { statusCode: number; headers: Buffer[] };
      call.status = answer.statusCode;
      call.answerHeaders = rawHeaders(answer.headers);
      call.received = new BodyTap();
    });
    on("undici:request:bodyChunkReceived", (call, { chunk }) => call.received?.write(chunk));
    on("undici:request:trailers", (call) => {
      if (call.received) call.received.ended = true;
      this.#end(call, undefined);
    });
    on("undici:request:error", (call, { error }) => this.#end(call, error));
  }

  #end(call: Call, error: unknown): void {
    if (call.done) return;
    call.done = true;
    try {
      this.#keepCall(call, error);
    } catch {
      // Listeners of a diagnostics channel must not throw: the engine would end the process.
    }
  }

  #keepCall(call: Call, error: unknown): void {
    const durationMs = performance.now() - call.started;
    const digest = bodyDigest(call.sentType(), call.sent.bytes, call.sent.length);
    const number = this.#number(call, digest);
    const failed = error !== undefined && call.status === null;
    this.#keep(() => ({
      kind: "outgoing",
      traceId: call.traceId,
      spanId: call.spanId,
      time: call.time,
      durationMs,
      method: call.method,
      url: call.url,
      bodyDigest: digest,
      number,
      status: failed ? null : call.status,
      headers: recordedAnswerHeaders(call.answerHeaders),
      body: answerBody(call),
      error: failed ? errorCode(error) : null,
    }));
  }

  #number(call: Call, digest: string): number {
    let numbers = this.#numbers.get(call.traceId);
    if (!numbers) {
      numbers = new Map();
      this.#numbers.set(call.traceId, numbers);
      if (this.#numbers.size > knownTraces) {
        for (const oldest of this.#numbers.keys()) {
          this.#numbers.delete(oldest);
          break;
        }
      }
    }
    const key = `${call.method} ${call.url} ${digest}`;
    const number = (numbers.get(key) ?? 0) + 1;
    numbers.set(key, number);
    return number;
  }
}

// Listeners of ours would change what the request does without any (it discards the answer), so its `emit` is wrapped.
function watchHttp(request: http.ClientRequest, call: Call, end: (error: unknown) => void): void {
  const { write, end: finish, emit } = request;
  request.write = function tappedWrite(this: unknown, ...args: unknown[]): boolean {
    call.sent.write(args[0], encodingOf(args[1]));
    return Reflect.apply(write, request, args) as boolean;
  } as typeof request.write;
  request.end = function tappedEnd(this: unknown, ...args: unknown[]): http.ClientRequest {
    if (args[0] !== undefined && args[0] !== null && typeof args[0] !== "function") {
      call.sent.write(args[0], encodingOf(args[1]));
    }
    return Reflect.apply(finish, request, args) as http.ClientRequest;
  } as typeof request.end;
  request.emit = function tappedEmit(this: unknown, event: string, ...args: unknown[]): boolean {
    if (event === "response") {
      const answer = args[0] as http.IncomingMessage;
      call.status = answer.statusCode ?? null;
      call.answerHeaders = answer.headers;
      call.received = tapIncoming(answer, digestLimit, () => end(undefined));
      answer.once("close", () => end(undefined));
    } else if (event === "error") end(args[0]);
    else if (event === "close" && call.status === null) end(new Error("closed before an answer"));
    return Reflect.apply(emit, request, [event, ...args]) as boolean;
  } as typeof request.emit;
}

function encodingOf(value: unknown): BufferEncoding | undefined {
  return typeof value === "string" && Buffer.isEncoding(value) ? value : undefined;
}

function urlOf(request: http.ClientRequest): URL | undefined {
  const host = headerText(request.getHeader("host")) ?? request.host;
  return URL.parse(request.path, `${request.protocol}//${host}`) ?? undefined;
}

function headerText(value: number | string | readonly string[] | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function answerBody(call: Call) {
  const received = call.received ?? new BodyTap();
  const contentType = headerText(call.answerHeaders["content-type"]);
  if (received.truncated) return recordedBody(contentType, received.bytes, received.length > 0 || !received.ended);
  const bytes = received.bytes;
  const plain = decodedBytes(headerText(call.answerHeaders["content-encoding"]), bytes);
  return recordedBody(contentType, plain ?? bytes, plain === undefined);
}

function errorCode(error: unknown): string {
  const failure = error as { code?: unknown; cause?: { code?: unknown }; name?: unknown } | undefined;
  const code = failure?.code ?? failure?.cause?.code ?? failure?.name;
  return typeof code === "string" ? code : noCode;
}

function undiciHeader(headers: UndiciRequestLike["headers"], name: string): string | undefined {
  if (typeof headers === "string") {
    return new RegExp(`^${name}:\\s*(.*)$`, "im").exec(headers)?.[1]?.trim();
  }
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (String(headers[index]).toLowerCase() === name) return String(headers[index + 1]);
  }
  return undefined;
}

function rawHeaders(raw: Buffer[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index + 1 < raw.length; index += 2) {
    headers[String(raw[index]).toLowerCase()] = String(raw[index + 1]);
  }
  return headers;
}
