// mysql2: a span for each query, in the context of whoever asked for it, also when the pool made it wait.
import { errorMonitor } from "node:events";
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  DB_SYSTEM_NAME_VALUE_MYSQL,
} from "@opentelemetry/semantic-conventions";
import { activeContext, boundTo } from "../active-context.ts";
import type { RawFrame } from "../call-site.ts";
import type { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, type Entry, entered, errorType, finished, operationOf, type PeerError } from "./client-span.ts";
import { disableChannels } from "./library-channels.ts";
import type { Patch } from "./library-hooks.ts";

type Callback = (this: unknown, ...args: unknown[]) => unknown;
type Method<This> = (this: This, ...args: unknown[]) => unknown;

export interface ConnectionConfig {
  host?: string;
  port?: number;
  database?: string;
  socketPath?: string;
}
interface Connection {
  config?: ConnectionConfig;
  [checkoutSite]?: RawFrame[];
}
interface Pool {
  config?: { connectionConfig?: ConnectionConfig };
}
interface Command {
  onResult?: Callback;
  once?(event: string | symbol, listener: (error?: unknown) => void): unknown;
}
type Methods<This> = Record<string, Method<This>>;

const checkoutSite = Symbol("tsdev.checkout-site");

export const patch: Patch = (file, exports, tracers) => {
  if (file === "") return undefined;
  disableChannels("mysql2");
  const tracer = tracers.getTracer("@tsdev/sdk/mysql2");
  const { prototype } = exports as unknown as { prototype: Methods<Pool & Connection> };
  if (!prototype) throw new Error("it exports no class");
  if (file.endsWith("pool_cluster.js")) patchCluster(prototype, tracer);
  // Since 3.11 the class of the same name in lib/ has none of these of its own.
  else if (file.endsWith("pool.js")) patchPool(prototype, tracer);
  else patchConnection(prototype, tracer);
  return undefined;
};

// `pool.query` calls `getConnection` at once, and what that calls back calls `connection.query` at once: two variables
// carry the entry over, however long the pool waits in between.
let entering: Entry | undefined;
let arriving: Entry | undefined;

function patchPool(prototype: Methods<Pool>, tracer: LeanTracer): void {
  for (const name of ["query", "execute"]) patchEntry(prototype, name, tracer);
  if (!Object.hasOwn(prototype, "getConnection")) return;
  const getConnection = prototype.getConnection!;
  prototype.getConnection = function tracedGetConnection(...args) {
    const entry = entering;
    entering = undefined;
    const callback = args[0];
    if (typeof callback !== "function") return getConnection.apply(this, args);
    const active = entry?.active ?? activeContext();
    // Some libraries query later, out of reach of the caller's stack; it is seen only from here.
    const site = entry ? undefined : tracer.source.callSites.capture(tracedGetConnection);
    args[0] = boundTo(active, (error: unknown, connection?: Connection, ...rest: unknown[]) => {
      if (error && entry) failedCheckout(tracer, this, entry, error);
      if (connection) connection[checkoutSite] = site;
      const outer = arriving;
      arriving = error ? undefined : entry;
      try {
        return callback(error, connection, ...rest) as unknown;
      } finally {
        arriving = outer;
      }
    });
    return getConnection.apply(this, args);
  };
}

/** A method of something that will get itself a connection for the query. */
function patchEntry(prototype: Methods<Pool>, name: string, tracer: LeanTracer): void {
  if (!Object.hasOwn(prototype, name)) return;
  const original = prototype[name]!;
  prototype[name] = function tracedPoolCall(...args) {
    const entry = entered(tracer, textOf(args[0]), tracedPoolCall);
    // The callback is the app's own code: it goes on in the app's context, not in that of the connection.
    const last = args.length - 1;
    if (typeof args[last] === "function") args[last] = boundTo(entry.active, args[last] as Callback);
    const outer = entering;
    entering = entry;
    try {
      return original.apply(this, args);
    } finally {
      entering = outer;
    }
  };
}

/** The class of what `cluster.of()` gives is exported nowhere. */
function patchCluster(prototype: Methods<Pool & Connection>, tracer: LeanTracer): void {
  const { of } = prototype;
  if (!of) throw new Error("PoolCluster.prototype.of is missing");
  const known = new WeakSet<object>();
  prototype.of = function tracedOf(...args) {
    const namespace = of.apply(this, args) as object;
    const methods = Object.getPrototypeOf(namespace) as Methods<Pool>;
    if (!known.has(methods)) {
      known.add(methods);
      for (const name of ["query", "execute"]) patchEntry(methods, name, tracer);
    }
    return namespace;
  };
}

function failedCheckout(tracer: LeanTracer, pool: Pool, entry: Entry, error: unknown): void {
  const config = pool.config?.connectionConfig;
  const describe = () => ({ name: "connect", text: undefined, attributes: attributesOf(config) });
  const span = begun(tracer, describe, failedCheckout, entry);
  if (!span) return;
  span.startedAt = entry.startedAt || span.startedAt;
  finished(span, error, described);
}

function patchConnection(prototype: Methods<Connection>, tracer: LeanTracer): void {
  for (const name of ["query", "execute"]) {
    if (!Object.hasOwn(prototype, name)) continue;
    const original = prototype[name]!;
    prototype[name] = function tracedCall(...args) {
      const entry = arriving;
      arriving = undefined;
      const active = entry?.active ?? activeContext();
      const describe = () => {
        const text = textOf(args[0]);
        const parts = [operationOf(text ?? "") || name, this.config?.database];
        return { name: parts.filter(Boolean).join(" "), text, attributes: attributesOf(this.config) };
      };
      const span = begun(tracer, describe, tracedCall, entry, this[checkoutSite]);
      const found = findCallback(args);
      if (found) {
        const bound = boundTo(active, found.callback);
        found.put(span ? endingCallback(span, bound) : bound);
      }
      if (!span) return original.apply(this, args);
      try {
        const command = original.apply(this, args) as Command | undefined;
        if (!found) endWithEvents(span, command);
        return command;
      } catch (error) {
        finished(span, error, described);
        throw error;
      }
    };
  }
}

interface FoundCallback {
  callback: Callback;
  put(other: Callback): void;
}

/** A pool hands over a command that has its callback already. */
function findCallback(args: unknown[]): FoundCallback | undefined {
  const last = args.length - 1;
  if (typeof args[last] === "function") {
    return {
      callback: args[last] as Callback,
      put: (other) => {
        args[last] = other;
      },
    };
  }
  const command = args[0] as Command | null;
  if (typeof command !== "object" || typeof command?.onResult !== "function") return undefined;
  return {
    callback: command.onResult,
    put: (other) => {
      command.onResult = other;
    },
  };
}

function endingCallback(span: RecordedSpan, callback: Callback): Callback {
  return function endedCall(this: unknown, ...args) {
    finished(span, args[0], described);
    return callback.apply(this, args);
  };
}

function endWithEvents(span: RecordedSpan, command: Command | undefined): void {
  if (typeof command?.once !== "function") {
    finished(span, undefined, described);
    return;
  }
  command.once(errorMonitor, (error) => finished(span, error, described));
  command.once("end", () => finished(span, undefined, described));
}

function textOf(query: unknown): string | undefined {
  const text = typeof query === "object" && query !== null ? (query as { sql?: unknown }).sql : query;
  return typeof text === "string" ? text : undefined;
}

function attributesOf(config: ConnectionConfig | undefined): Attributes {
  return {
    [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_MYSQL,
    [ATTR_DB_NAMESPACE]: config?.database || undefined,
    [ATTR_SERVER_ADDRESS]: config?.socketPath ?? config?.host,
    [ATTR_SERVER_PORT]: config?.socketPath ? undefined : config?.port,
  };
}

function described(error: object): PeerError {
  const { errno } = error as { errno?: unknown };
  // The server's own numbers are positive, those of the system are not.
  const code = typeof errno === "number" && errno > 0 ? String(errno) : undefined;
  return { type: errorType(error), attributes: code ? { [ATTR_DB_RESPONSE_STATUS_CODE]: code } : {} };
}
