// HTTP server: one span for each incoming request of node:http and node:https, from its headers to its end.
import http from "node:http";
import https from "node:https";
import { type Attributes, type Context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { RPCType, setRPCMetadata, suppressTracing } from "@opentelemetry/core";
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from "@opentelemetry/semantic-conventions";
import { httpMethods } from "../semantic-conventions.ts";
import { inContext } from "./active-context.ts";
import { setEmitterContext } from "./emitter-context.ts";
import { type ForwardedBy, forwardedBy } from "./forwarded.ts";
import { linkedRoot } from "./linked-context.ts";
import { isProbeCall } from "./request-scope.ts";
import { RecordedSpan } from "./span.ts";
import type { LeanTracer } from "./tracer.ts";

// With the last two the client waits for a go-ahead; without a listener of the app's Node goes on to `request` itself.
const events = new Set(["request", "checkContinue", "checkExpectation"]);
const traced = Symbol("tsdev.traced");

interface Emitting {
  emit(event: string | symbol, ...args: unknown[]): boolean;
}
interface Traced {
  [traced]?: boolean;
}

/** Must be called after the request scopes are installed: they want the request's span to be active. */
export function traceIncomingRequests(tracer: LeanTracer): void {
  wrap(http.Server.prototype, "http", tracer);
  wrap(https.Server.prototype, "https", tracer);
}

function wrap(prototype: Emitting, scheme: string, tracer: LeanTracer): void {
  const { emit } = prototype;
  const incoming = new IncomingRequests(scheme, tracer);
  prototype.emit = function tracedEmit(this: unknown, ...args: [string | symbol, ...unknown[]]): boolean {
    if (!events.has(args[0] as string)) return Reflect.apply(emit, this, args) as boolean;
    const [, request, response] = args as unknown as [string, http.IncomingMessage, http.ServerResponse];
    // `checkContinue` of an app often ends in an emitted `request`.
    if ((request as Traced)[traced]) return Reflect.apply(emit, this, args) as boolean;
    (request as Traced)[traced] = true;
    return incoming.handle(request, response, () => Reflect.apply(emit, this, args) as boolean);
  };
}

/** What is read of the headers, in one walk and without making the object of all of them. */
interface Headers {
  host: string | undefined;
  userAgent: string | undefined;
  /** Whether a trace or baggage comes with the request. */
  carries: boolean;
  forwarded: boolean;
}

class IncomingRequests {
  readonly #scheme: string;
  readonly #tracer: LeanTracer;
  readonly #untraced: Context = suppressTracing(linkedRoot);

  constructor(scheme: string, tracer: LeanTracer) {
    this.#scheme = scheme;
    this.#tracer = tracer;
  }

  handle(request: http.IncomingMessage, response: http.ServerResponse, goOn: () => boolean): boolean {
    const headers = readHeaders(request.rawHeaders);
    const path = request.url ?? "/";
    if (isProbeCall(path, headers.userAgent)) {
      setEmitterContext(request, response, this.#untraced);
      return inContext(this.#untraced, goOn);
    }
    const above = headers.carries ? propagation.extract(linkedRoot, request.headers) : linkedRoot;
    const method = request.method ?? "GET";
    const span = this.#tracer.begin(method, SpanKind.SERVER, {}, headers.carries ? trace.getSpan(above) : undefined);
    const own = trace.setSpan(above, span);
    if (!(span instanceof RecordedSpan)) {
      setEmitterContext(request, response, own);
      return inContext(own, goOn);
    }
    span.attributes = this.#attributes(request, path, method, headers);
    const metadata = { type: RPCType.HTTP as const, span, route: undefined as string | undefined };
    const active = setRPCMetadata(own, metadata);
    setEmitterContext(request, response, active, () => finish(span, response, metadata.route));
    try {
      return inContext(active, goOn);
    } catch (error) {
      fail(span, error);
      throw error;
    }
  }

  #attributes(request: http.IncomingMessage, path: string, method: string, headers: Headers): Attributes {
    const { socket } = request;
    const upper = httpMethods.has(method) ? method : method.toUpperCase();
    const known = httpMethods.has(upper) ? upper : "_OTHER";
    const mark = path.indexOf("?");
    const by: ForwardedBy | undefined = headers.forwarded ? forwardedBy(request.headers) : undefined;
    const host = by?.host ?? headers.host;
    const colon = host === undefined ? -1 : portMark(host);
    return {
      [ATTR_HTTP_REQUEST_METHOD]: known,
      [ATTR_HTTP_REQUEST_METHOD_ORIGINAL]: known === method ? undefined : method,
      [ATTR_URL_SCHEME]: this.#scheme,
      [ATTR_URL_PATH]: pathOf(mark < 0 ? path : path.slice(0, mark)),
      [ATTR_URL_QUERY]: mark < 0 || mark === path.length - 1 ? undefined : path.slice(mark + 1),
      [ATTR_SERVER_ADDRESS]: colon < 0 ? host : host?.slice(0, colon),
      [ATTR_SERVER_PORT]: colon < 0 ? defaultPort(host, by?.proto ?? this.#scheme) : Number(host?.slice(colon + 1)),
      [ATTR_NETWORK_PEER_ADDRESS]: socket.remoteAddress,
      [ATTR_NETWORK_PEER_PORT]: socket.remotePort,
      [ATTR_NETWORK_PROTOCOL_VERSION]: request.httpVersion,
      [ATTR_CLIENT_ADDRESS]: by?.client ?? socket.remoteAddress,
      [ATTR_USER_AGENT_ORIGINAL]: headers.userAgent,
    };
  }
}

function readHeaders(raw: string[]): Headers {
  const headers: Headers = { host: undefined, userAgent: undefined, carries: false, forwarded: false };
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!;
    // Most headers have another length than all of those that matter.
    switch (name.length) {
      case 4:
        if (headers.host === undefined && name.toLowerCase() === "host") headers.host = raw[index + 1];
        break;
      case 7:
        if (name.toLowerCase() === "baggage") headers.carries = true;
        break;
      case 9:
        if (name.toLowerCase() === "forwarded") headers.forwarded = true;
        break;
      case 10:
        if (headers.userAgent === undefined && name.toLowerCase() === "user-agent") headers.userAgent = raw[index + 1];
        break;
      case 11:
        if (name.toLowerCase() === "traceparent") headers.carries = true;
        break;
      case 15:
      case 16:
        if (name.toLowerCase().startsWith("x-forwarded-")) headers.forwarded = true;
        break;
    }
  }
  return headers;
}

// A proxy's request names the whole URL.
function pathOf(path: string): string {
  return path.startsWith("/") ? path : (URL.parse(path)?.pathname ?? path);
}

/** Where the colon of the port stands in a host; -1 when there is none, also within an IPv6 address. */
function portMark(host: string): number {
  const colon = host.lastIndexOf(":");
  return colon > host.lastIndexOf("]") ? colon : -1;
}

function defaultPort(host: string | undefined, scheme: string): number | undefined {
  if (host === undefined) return undefined;
  return scheme === "https" ? 443 : 80;
}

function finish(span: RecordedSpan, response: http.ServerResponse, route: string | undefined): void {
  if (span.ended) return;
  const { statusCode } = response;
  // What the client never got is no status: it went away before the answer began.
  if (response.headersSent) {
    span.attributes[ATTR_HTTP_RESPONSE_STATUS_CODE] = statusCode;
    if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  }
  if (route !== undefined) span.attributes[ATTR_HTTP_ROUTE] ??= route;
  const { errored } = response;
  if (errored) fail(span, errored);
  else span.end();
}

function fail(span: RecordedSpan, error: unknown): void {
  const known = error instanceof Error ? error : new Error(String(error));
  span.setAttribute(ATTR_ERROR_TYPE, known.name);
  span.recordException(known);
  span.setStatus({ code: SpanStatusCode.ERROR, message: known.message });
  span.end();
}
