// pg: one span for each query, in the context of whoever asked for it, also when the pool made it wait.
import { errorMonitor } from "node:events";
import { type Attributes, type Context, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import {
  InstrumentationBase,
  InstrumentationNodeModuleDefinition,
  InstrumentationNodeModuleFile,
} from "@opentelemetry/instrumentation";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
} from "@opentelemetry/semantic-conventions";
import { activeContext, boundTo } from "../active-context.ts";
import { callSiteKey, type RawFrame } from "../call-site.ts";
import { monotonic } from "../clock.ts";
import { RecordedSpan, UnsampledSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, type Entry, endedBy, entered, entryIn } from "./client-span.ts";

type Callback = (...args: unknown[]) => unknown;

interface ConnectionParameters {
  host?: string;
  port?: number;
  database?: string;
}
interface Client {
  connectionParameters?: ConnectionParameters;
  [checkoutSite]?: RawFrame[];
}
interface Pool {
  options?: ConnectionParameters & { connectionString?: string };
}
interface ClientClass {
  prototype: {
    query(this: Client, ...args: unknown[]): unknown;
    connect(this: Client, callback?: Callback): unknown;
  };
}
interface PoolClass {
  prototype: {
    query(this: Pool, ...args: unknown[]): unknown;
    connect(this: Pool, callback?: Callback): unknown;
  };
}
interface Submittable {
  submit: unknown;
  callback?: unknown;
  once?(event: string | symbol, listener: (error?: unknown) => void): unknown;
}

const patched = Symbol.for("tsdev.pg");
const checkoutSite = Symbol("tsdev.checkout-site");
/** What analyzers know these spans by. */
const names = { query: "pg.query", connect: "pg.connect", poolConnect: "pg-pool.connect" } as const;
const knownStatements = 2_000;

export class PgTracing extends InstrumentationBase {
  #tracer: LeanTracer | undefined;

  constructor(tracer: LeanTracer) {
    super(tracer.scope.name, tracer.scope.version, {});
    this.#tracer = tracer;
  }

  override init() {
    const versions = [">=8.0.3 <9"];
    const client = (exports: ClientClass) => this.#patched(exports, patchClient);
    const file = (name: string) => new InstrumentationNodeModuleFile(name, versions, client, () => {});
    return [
      new InstrumentationNodeModuleDefinition("pg", versions, undefined, undefined, [
        file("pg/lib/client.js"),
        file("pg/lib/native/client.js"),
      ]),
      new InstrumentationNodeModuleDefinition("pg-pool", [">=2.0.0 <4"], (exports: PoolClass) =>
        this.#patched(exports, patchPool),
      ),
    ];
  }

  #patched<C extends { prototype: object }>(exports: C, patch: (exports: C, tracer: LeanTracer) => void): C {
    const tracer = this.#tracer;
    if (tracer && exports?.prototype && !Object.hasOwn(exports.prototype, patched)) {
      patch(exports, tracer);
      Object.defineProperty(exports.prototype, patched, { value: true });
    }
    return exports;
  }
}

// `pool.query` calls `connect` at once, and what `connect` calls back calls `client.query` at once: two variables carry
// the entry over, which is right however long the pool waits in between, and costs no context of its own.
let entering: Entry | undefined;
let arriving: Entry | undefined;

function patchPool({ prototype }: PoolClass, tracer: LeanTracer): void {
  const { query, connect } = prototype;
  const { callSites } = tracer.source;

  prototype.query = function tracedPoolQuery(...args) {
    const active = activeContext();
    // The callback is the app's own code: it goes on in the app's context, not in that of the connection.
    const last = args.length - 1;
    if (typeof args[last] === "function") args[last] = boundTo(active, args[last] as Callback);
    const outer = entering;
    entering = entered(tracer, textOf(args[0]), tracedPoolQuery);
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
    if (recorded(trace.getSpan(active))) own.site = callSites.capture(tracedPoolConnect);
    return connect.call(
      this,
      boundTo(active, (error: unknown, ...rest: unknown[]) => {
        if (error) return failedCheckout(tracer, this, own, error, callback, rest);
        const client = rest[0] as Client | undefined;
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
      if (client) (client as Client)[checkoutSite] = undefined;
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
  const { options } = pool;
  const url = options?.connectionString === undefined ? undefined : URL.parse(options.connectionString);
  const attributes = attributesOf({
    host: url?.hostname ?? options?.host,
    port: url ? Number(url.port) || undefined : options?.port,
    database: url?.pathname.slice(1) ?? options?.database,
  });
  const span = connecting(tracer, names.poolConnect, attributes, entry.active);
  if (span) {
    span.startedAt = entry.startedAt || span.startedAt;
    span.site = entry.site;
    finish(span, error);
  }
  return callback(error, ...rest);
}

function patchClient({ prototype }: ClientClass, tracer: LeanTracer): void {
  const { query, connect } = prototype;
  const { callSites } = tracer.source;

  prototype.query = function tracedQuery(...args) {
    const entry = arriving;
    arriving = undefined;
    const active = entry?.active ?? activeContext();
    const text = textOf(args[0]);
    // What nobody will see is not even named.
    const span =
      trace.getSpan(active) instanceof UnsampledSpan
        ? undefined
        : begun(
            tracer,
            {
              name: spanName(args[0], text, this.connectionParameters?.database),
              text,
              attributes: () => attributesOf(this.connectionParameters ?? {}),
            },
            tracedQuery,
            entry,
            this[checkoutSite],
          );
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
    const span = connecting(tracer, names.connect, attributesOf(this.connectionParameters ?? {}), active);
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

function connecting(
  tracer: LeanTracer,
  name: string,
  attributes: Attributes,
  active: Context,
): RecordedSpan | undefined {
  if (isTracingSuppressed(active)) return undefined;
  const span = tracer.begin(name, SpanKind.CLIENT, attributes, trace.getSpan(active));
  return span instanceof RecordedSpan ? span : undefined;
}

function recorded(span: Span | undefined): RecordedSpan | undefined {
  return span instanceof RecordedSpan ? span : undefined;
}

function textOf(config: unknown): string | undefined {
  const text = typeof config === "object" && config !== null ? (config as { text?: unknown }).text : config;
  return typeof text === "string" ? text : undefined;
}

function attributesOf({ host, port, database }: ConnectionParameters): Attributes {
  return {
    [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_POSTGRESQL,
    [ATTR_DB_NAMESPACE]: database,
    [ATTR_SERVER_ADDRESS]: host,
    // pg reads a port that is none as NaN.
    [ATTR_SERVER_PORT]: Number.isInteger(port) ? port : undefined,
  };
}

const operations = new Map<string, string>();

/** `pg.query:SELECT database`; a prepared statement goes by its own name. */
function spanName(config: unknown, text: string | undefined, database: string | undefined): string {
  if (text === undefined) return names.query;
  const own = typeof config === "object" && config !== null ? (config as { name?: unknown }).name : undefined;
  const operation = typeof own === "string" && own !== "" ? own : operationOf(text);
  return `${names.query}:${operation}${database ? ` ${database}` : ""}`;
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

function finish(span: RecordedSpan, error: unknown): void {
  if (span.ended) return;
  if (error) {
    const { name, code, message } = error as { name?: string; code?: unknown; message?: string };
    span.setAttribute(ATTR_ERROR_TYPE, typeof code === "string" ? code : (name ?? "Error"));
    // SQLSTATE has five characters; other codes are Node's.
    if (typeof code === "string" && code.length === 5) span.setAttribute(ATTR_DB_RESPONSE_STATUS_CODE, code);
    // Messages of Postgres quote values; an exception's event would keep them and the stack beside them.
    span.recordException(`${name ?? "Error"} of PostgreSQL (code: ${String(code ?? "none")})`);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end();
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
