// Request scope: what belongs to the incoming request that is being handled, reachable from everything done for it.
import type { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { type Context, createContextKey } from "@opentelemetry/api";
import { activeContext, inContext } from "./active-context.ts";
import { setEmitterContext } from "./emitter-context.ts";

/** Randomness and a clock that depend on the request alone. */
export interface Determinism {
  /** Milliseconds since the epoch. */
  now(): number;
  bytes(kind: string, length: number): Buffer;
  /** At least 0, less than 1. */
  fraction(kind: string): number;
  uuid(): ReturnType<typeof randomUUID>;
}

/** One incoming request in the making. */
export interface RequestScope {
  /** `x-tsdev-request-id`, when a replay sent it. */
  id: string | undefined;
  /** The span of the request, when it is recorded. */
  recorded: { traceId: string; spanId: string } | undefined;
  /** Streams of a deterministic replay. */
  determinism: Determinism | undefined;
}

const scopeKey = createContextKey("tsdev.request-scope");

/** The scope of the request that is being handled, also inside callbacks that libraries queued. */
export function currentScope(active: Context = activeContext()): RequestScope | undefined {
  return active.getValue(scopeKey) as RequestScope | undefined;
}

/** Opens a scope for a request, or answers undefined to leave the request alone. */
export type OpenScope = (request: http.IncomingMessage, response: http.ServerResponse) => RequestScope | undefined;

/** Must be called before incoming requests are traced, so that their span is there when the scope opens. */
export function installRequestScopes(open: OpenScope): void {
  wrap(http.Server.prototype, open);
  wrap(https.Server.prototype, open);
}

function wrap(prototype: { emit(event: string, ...args: unknown[]): boolean }, open: OpenScope): void {
  const emit = prototype.emit;
  prototype.emit = function scopedEmit(this: unknown, event: string, ...args: unknown[]): boolean {
    if (event !== "request") return Reflect.apply(emit, this, [event, ...args]) as boolean;
    const [request, response] = args as [http.IncomingMessage, http.ServerResponse];
    let scope: RequestScope | undefined;
    try {
      scope = open(request, response);
    } catch {
      // A request is served whether or not it can be recorded.
    }
    if (!scope) return Reflect.apply(emit, this, [event, ...args]) as boolean;
    const scoped = activeContext().setValue(scopeKey, scope);
    setEmitterContext(request, response, scoped);
    return inContext(scoped, () => Reflect.apply(emit, this, [event, ...args]) as boolean);
  };
}

/** Probes of the platform and of orchestrators: neither traced nor recorded. */
export function isProbeCall(url: string, userAgent: string | undefined): boolean {
  if (url.startsWith("/healthz") || url.startsWith("/readyz")) {
    const [path] = url.split("?", 1);
    if (path === "/healthz" || path === "/readyz") return true;
  }
  return userAgent?.includes("tsdev-probe") ?? false;
}

export function isProbe(request: http.IncomingMessage): boolean {
  return isProbeCall(request.url ?? "/", request.headers["user-agent"]);
}
