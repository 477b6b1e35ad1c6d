// pg pool: carries who asked over to the query, however long the pool makes it wait for a connection.
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { activeContext, boundTo } from "../active-context.ts";
import type { RawFrame } from "../call-site.ts";
import { monotonic } from "../clock.ts";
import { RecordedSpan, UnsampledSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { type Entry, entered, entryIn } from "./client-span.ts";
import { type Callback, type ConnectionParameters, connecting, finish, isPromise, pgNames, textOf } from "./pg-span.ts";

interface Pool {
  options?: ConnectionParameters & { connectionString?: string };
}
export interface PoolClass {
  prototype: {
    query(this: Pool, ...args: unknown[]): unknown;
    connect(this: Pool, callback?: Callback): unknown;
  };
}
/** A client knows where the app asked the pool for it. */
export interface PoolClient {
  [checkoutSite]?: RawFrame[];
}

export const checkoutSite = Symbol("tsdev.checkout-site");

// `pool.query` calls `connect` at once, and what `connect` calls back calls `client.query` at once: two variables carry
// the entry over, which is right however long the pool waits in between, and costs no context of its own.
let entering: Entry | undefined;
let arriving: Entry | undefined;

/** The entry of every `pool.query` whose trace is not sampled: its query has nothing to look up. */
export const unseen: Entry = entryIn(ROOT_CONTEXT);

/** The `pool.query` for which `client.query` was called just now; the next call is of another. */
export function takeArriving(): Entry | undefined {
  const entry = arriving;
  arriving = undefined;
  return entry;
}

export function patchPool({ prototype }: PoolClass, tracer: LeanTracer): void {
  const { query, connect } = prototype;
  const { callSites } = tracer.source;

  prototype.query = function tracedPoolQuery(...args) {
    const active = activeContext();
    // The callback is the app's own code: it goes on in the app's context, not in that of the connection.
    const last = args.length - 1;
    if (typeof args[last] === "function") args[last] = boundTo(active, args[last] as Callback);
    const outer = entering;
    entering =
      trace.getSpan(active) instanceof UnsampledSpan ? unseen : entered(tracer, textOf(args[0]), tracedPoolQuery);
    try {
      return query.apply(this, args);
    } finally {
      entering = outer;
    }
  };

  prototype.connect = function tracedPoolConnect(callback) {
    const entry = entering;
    entering = undefined;
    if (entry && typeof callback === "function") {
      return connect.call(this, (error: unknown, ...rest: unknown[]) => {
        if (error) return failedCheckout(tracer, this, entry, error, callback, rest);
        const outer = arriving;
        arriving = entry;
        try {
          return callback(error, ...rest);
        } finally {
          arriving = outer;
        }
      });
    }
    const active = activeContext();
    const own = entryIn(active);
    own.startedAt = monotonic();
    if (typeof callback !== "function") return checkedOut(tracer, this, own, connect.call(this));
    // Some libraries query later, out of reach of the caller's stack; it is seen only from here.
    if (trace.getSpan(active) instanceof RecordedSpan) own.site = callSites.capture(tracedPoolConnect);
    return connect.call(
      this,
      boundTo(active, (error: unknown, ...rest: unknown[]) => {
        if (error) return failedCheckout(tracer, this, own, error, callback, rest);
        const client = rest[0] as PoolClient | undefined;
        if (client) client[checkoutSite] = own.site;
        return callback(error, ...rest);
      }),
    );
  };
}

function checkedOut(tracer: LeanTracer, pool: Pool, entry: Entry, result: unknown): unknown {
  if (!isPromise(result)) return result;
  return result.then(
    (client) => {
      if (client) (client as PoolClient)[checkoutSite] = undefined;
      return client;
    },
    (error: unknown) => {
      failedCheckout(tracer, pool, entry, error, () => {}, []);
      throw error;
    },
  );
}

/** A span only where no connection came: where one did, it would say nothing that the query's does not. */
function failedCheckout(
  tracer: LeanTracer,
  pool: Pool,
  entry: Entry,
  error: unknown,
  callback: Callback,
  rest: unknown[],
): unknown {
  const span =
    entry === unseen ? undefined : connecting(tracer, pgNames.poolConnect, () => parametersOf(pool), entry.active);
  if (span) {
    span.startedAt = entry.startedAt || span.startedAt;
    span.site = entry.site;
    finish(span, error);
  }
  return callback(error, ...rest);
}

function parametersOf({ options }: Pool): ConnectionParameters {
  const url = options?.connectionString === undefined ? undefined : URL.parse(options.connectionString);
  return {
    host: url?.hostname ?? options?.host,
    port: url ? Number(url.port) || undefined : options?.port,
    database: url?.pathname.slice(1) ?? options?.database,
  };
}
