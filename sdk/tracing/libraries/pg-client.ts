// pg client: the spans of queries and of connections, ended before the app's own code goes on.
import { errorMonitor } from "node:events";
import { type Context, trace } from "@opentelemetry/api";
import { activeContext, boundTo } from "../active-context.ts";
import { callSiteKey, type RawFrame } from "../call-site.ts";
import { type RecordedSpan, UnsampledSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, endedBy } from "./client-span.ts";
import { checkoutSite, type PoolClient, takeArriving, unseen } from "./pg-pool.ts";
import {
  attributesOf,
  type Callback,
  type ConnectionParameters,
  connecting,
  finish,
  isPromise,
  pgNames,
  textOf,
} from "./pg-span.ts";

interface Client extends PoolClient {
  connectionParameters?: ConnectionParameters;
}
export interface ClientClass {
  prototype: {
    query(this: Client, ...args: unknown[]): unknown;
    connect(this: Client, callback?: Callback): unknown;
  };
}
interface Submittable {
  submit: unknown;
  callback?: unknown;
  once?(event: string | symbol, listener: (error?: unknown) => void): unknown;
}

const knownStatements = 2_000;

export function patchClient({ prototype }: ClientClass, tracer: LeanTracer): void {
  const { query, connect } = prototype;
  const { callSites } = tracer.source;

  prototype.query = function tracedQuery(...args) {
    const entry = takeArriving();
    if (entry === unseen) return query.apply(this, args);
    const active = entry?.active ?? activeContext();
    const describe = () => {
      const text = textOf(args[0]);
      const parameters = this.connectionParameters ?? {};
      return { name: spanName(args[0], text, parameters.database), text, attributes: attributesOf(parameters) };
    };
    const span =
      trace.getSpan(active) instanceof UnsampledSpan
        ? undefined
        : begun(tracer, describe, tracedQuery, entry, this[checkoutSite]);
    if (!span) {
      if (!entry) bindCallback(args, active);
      return query.apply(this, args);
    }
    const called = endInCallback(args, span, entry ? undefined : active);
    let result: unknown;
    try {
      result = query.apply(this, args);
    } catch (error) {
      finish(span, error);
      throw error;
    }
    if (called) return result;
    if (isPromise(result)) return endedBy(result, (error) => finish(span, error));
    endWithStream(args[0], span);
    return result;
  };

  prototype.connect = function tracedConnect(callback) {
    const active = activeContext();
    const span = connecting(tracer, pgNames.connect, () => this.connectionParameters ?? {}, active);
    if (!span) return connect.call(this, callback && boundTo(active, callback));
    span.site = callSites.capture(tracedConnect);
    span.entrySite = active.getValue(callSiteKey) as RawFrame[] | undefined;
    if (callback) {
      return connect.call(
        this,
        boundTo(active, (error: unknown, ...rest: unknown[]) => {
          finish(span, error);
          return callback(error, ...rest);
        }),
      );
    }
    const result = connect.call(this);
    return isPromise(result) ? endedBy(result, (error) => finish(span, error)) : result;
  };
}

const operations = new Map<string, string>();

/** `pg.query:SELECT database`; a prepared statement goes by its own name. */
function spanName(config: unknown, text: string | undefined, database: string | undefined): string {
  if (text === undefined) return pgNames.query;
  const own = typeof config === "object" && config !== null ? (config as { name?: unknown }).name : undefined;
  const operation = typeof own === "string" && own !== "" ? own : operationOf(text);
  return `${pgNames.query}:${operation}${database ? ` ${database}` : ""}`;
}

function operationOf(text: string): string {
  let operation = operations.get(text);
  if (operation === undefined) {
    operation = /^\s*([^\s;]*)/.exec(text)?.[1]?.slice(0, 64).toUpperCase() ?? "";
    if (operations.size >= knownStatements) operations.clear();
    operations.set(text, operation);
  }
  return operation;
}

/** Where the callback of a query stands among its arguments. */
function callbackAt(args: unknown[]): number {
  const last = args.length - 1;
  return typeof args[last] === "function" ? last : -1;
}

function bindCallback(args: unknown[], active: Context): void {
  const at = callbackAt(args);
  if (at >= 0) args[at] = boundTo(active, args[at] as Callback);
}

/** Ends the span before the callback runs, in `active` when it is given; answers whether there is one. */
function endInCallback(args: unknown[], span: RecordedSpan, active: Context | undefined): boolean {
  const at = callbackAt(args);
  const config = args[0] as Submittable | null;
  const held = at < 0 && typeof config === "object" && config !== null ? config.callback : args[at];
  if (typeof held !== "function") return false;
  const callback = (active ? boundTo(active, held as Callback) : held) as Callback;
  const ending = function endedQuery(this: unknown, error: unknown, result: unknown): unknown {
    finish(span, error);
    return callback.call(this, error, result);
  };
  if (at >= 0) args[at] = ending;
  else if (config && typeof config.submit === "function") config.callback = ending;
  // The app's own object may be used again, so a copy is changed.
  else args[0] = Object.assign(Object.create(Object.getPrototypeOf(config) as object), config, { callback: ending });
  return true;
}

/** Cursors and streams tell by events when they are over. */
function endWithStream(query: unknown, span: RecordedSpan): void {
  const stream = query as Submittable | null;
  if (typeof stream?.once !== "function") {
    finish(span, undefined);
    return;
  }
  stream.once(errorMonitor, (error) => finish(span, error));
  stream.once("end", () => finish(span, undefined));
  stream.once("close", () => finish(span, undefined));
}
