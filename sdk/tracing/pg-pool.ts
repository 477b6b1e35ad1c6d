// pg-pool: carries the place of `pool.query` to the query's own span, and keeps every queued callback in its own context.
import { context, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { InstrumentationBase, InstrumentationNodeModuleDefinition } from "@opentelemetry/instrumentation";
import { type CallSites, callSiteKey } from "./call-site.ts";

type Callback = (...args: unknown[]) => unknown;
interface PoolPrototype {
  query(this: unknown, ...args: unknown[]): unknown;
  connect(this: unknown, callback?: Callback): unknown;
}
interface PoolClass {
  prototype: PoolPrototype;
}

const patched = Symbol.for("tsdev.pg-pool");

/**
 * Must be made after the instrumentation of pg: hooks run in that order, and ours has to be the outer one.
 * pg's own class is left alone, because a second wrap around `Client.query` would make every query two spans.
 */
export class PgPoolCallSites extends InstrumentationBase {
  #callSites: CallSites | undefined;

  constructor(callSites: CallSites) {
    super("@tsdev/sdk/pg-pool", "0.1.0", {});
    this.#callSites = callSites;
  }

  override init() {
    return new InstrumentationNodeModuleDefinition("pg-pool", [">=2.0.0 <4"], (exports: PoolClass) => {
      this.#patch(exports);
      return exports;
    });
  }

  #patch(pool: PoolClass): void {
    const callSites = this.#callSites;
    if (!callSites || !pool?.prototype || Object.hasOwn(pool.prototype, patched)) return;
    const { query, connect } = pool.prototype;
    pool.prototype.query = function tracedQuery(...args) {
      const active = context.active();
      // The callback is the app's own code: it goes on in the app's context, without this query's place.
      const last = args.length - 1;
      if (typeof args[last] === "function") args[last] = context.bind(active, args[last]);
      const site = callSites.capture(tracedQuery);
      if (site.length === 0) return query.apply(this, args);
      return context.with(active.setValue(callSiteKey, site), () => query.apply(this, args));
    };
    // Without a parent span the instrumentation leaves the callback unbound, and a queued query would run in, and be
    // counted to, whichever request gave its client back.
    pool.prototype.connect = function boundConnect(callback) {
      const active = context.active();
      if (typeof callback !== "function" || trace.getSpan(active)) return connect.call(this, callback);
      return connect.call(this, context.bind(active === undefined ? ROOT_CONTEXT : active, callback));
    };
    Object.defineProperty(pool.prototype, patched, { value: true });
  }
}
