// Request scope: what belongs to the incoming request that is being handled, reachable from everything done for it.
import type { randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { type Context, context, createContextKey } from "@opentelemetry/api";
import { getRPCMetadata } from "@opentelemetry/core";

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
const scopeOfMetadata = new WeakMap<object, RequestScope>();

/** The scope of the request that is being handled, also inside callbacks that libraries queued. */
export function currentScope(active: Context = context.active()): RequestScope | undefined {
  // Emitters of the request were bound to the instrumentation's context before ours existed, so a listener on them sees
  // only what hangs on the metadata that this context carries.
  const own = active.getValue(scopeKey) as RequestScope | undefined;
  if (own) return own;
  const metadata = getRPCMetadata(active);
  return metadata ? scopeOfMetadata.get(metadata) : undefined;
}

/** Opens a scope for a request, or answers undefined to leave the request alone. */
export type OpenScope = (request: http.IncomingMessage, response: http.ServerResponse) => RequestScope | undefined;

/** Must be called before the HTTP instrumentation is made, so that its span is there when the scope opens. */
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
    const active = context.active();
    const metadata = getRPCMetadata(active);
    if (metadata) scopeOfMetadata.set(metadata, scope);
    const scoped = active.setValue(scopeKey, scope);
    return context.with(scoped, () => {
      context.bind(scoped, request);
      context.bind(scoped, response);
      return Reflect.apply(emit, this, [event, ...args]) as boolean;
    });
  };
}

/** Probes of the platform and of orchestrators: neither traced nor recorded. */
export function isProbe(request: http.IncomingMessage): boolean {
  const path = (request.url ?? "").split("?", 1)[0];
  if (path === "/healthz" || path === "/readyz") return true;
  return request.headers["user-agent"]?.includes("tsdev-probe") ?? false;
}
