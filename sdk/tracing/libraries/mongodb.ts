// MongoDB: a span for each command that the driver sends, with the shape of the command and none of its values.
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_DB_COLLECTION_NAME,
  ATTR_DB_NAMESPACE,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "@opentelemetry/semantic-conventions";
import { activeContext, boundTo } from "../active-context.ts";
import { callSiteKey } from "../call-site.ts";
import type { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, errorType, finished, type PeerError } from "./client-span.ts";
import type { Patch } from "./library-hooks.ts";

interface Connection {
  address?: string;
  command(this: Connection, ...args: unknown[]): unknown;
}
interface ConnectionPool {
  checkOut(this: ConnectionPool, ...args: unknown[]): unknown;
}
type Command = Record<string, unknown>;

// What the driver says for itself: to find servers, to log in, to end.
const own = new Set(["hello", "ismaster", "saslstart", "saslcontinue", "authenticate", "endsessions"]);
// Fields of a command that are the driver's.
const hidden = new Set([
  "lsid",
  "$db",
  "$clusterTime",
  "$readPreference",
  "txnNumber",
  "startTransaction",
  "autocommit",
]);
const deepest = 6;
const longestList = 8;

export const patch: Patch = (file, exports, tracers) => {
  if (file === "") return undefined;
  const tracer = tracers.getTracer("@tsdev/sdk/mongodb");
  const { Connection, ConnectionPool } = exports as {
    Connection?: { prototype: Connection };
    ConnectionPool?: { prototype: ConnectionPool };
  };
  if (file.endsWith("connection_pool.js")) return patchPool(ConnectionPool?.prototype, tracer);
  if (typeof Connection?.prototype.command !== "function") throw new Error("Connection.prototype.command is missing");
  return patchConnection(Connection.prototype, tracer);
};

/** Up to version 5 a pool calls back from wherever a connection was given back. */
function patchPool(prototype: ConnectionPool | undefined, { source: { callSites } }: LeanTracer): undefined {
  if (typeof prototype?.checkOut !== "function") throw new Error("ConnectionPool.prototype.checkOut is missing");
  const { checkOut } = prototype;
  prototype.checkOut = function tracedCheckOut(...args) {
    const last = args.length - 1;
    const callback = args[last];
    if (typeof callback === "function") {
      const site = callSites.capture(tracedCheckOut);
      const active = activeContext();
      args[last] = boundTo(site.length > 0 ? active.setValue(callSiteKey, site) : active, callback as never);
    }
    return checkOut.apply(this, args);
  };
  return undefined;
}

function patchConnection(prototype: Connection, tracer: LeanTracer): undefined {
  const { command } = prototype;
  // Up to version 5 the last argument is a callback; since then it may be a class.
  const promises = command.constructor.name === "AsyncFunction";
  prototype.command = function tracedCommand(...args) {
    const [namespace, body] = args as [{ db?: string } | undefined, Command | undefined];
    const operation = body && Object.keys(body)[0];
    if (!operation || own.has(operation.toLowerCase())) return command.apply(this, args);
    const describe = () => {
      const collection = collectionOf(body, operation);
      return {
        name: collection ? `${operation} ${collection}` : operation,
        text: shapeOf(body),
        attributes: attributesOf(this.address, operation, collection, namespace?.db),
      };
    };
    const span = begun(tracer, describe, tracedCommand);
    if (!span) return command.apply(this, args);
    const last = args.length - 1;
    const callback = args[last];
    if (promises || typeof callback !== "function") {
      return endedReply(span, command.apply(this, args) as PromiseLike<unknown>);
    }
    args[last] = boundTo(activeContext(), (error: unknown, ...rest: unknown[]) => {
      finished(span, error ?? writeErrorOf(rest[0]), described);
      return callback(error, ...rest) as unknown;
    });
    return command.apply(this, args);
  };
  return undefined;
}

/** The value of the first field names the collection; a cursor's next batch has it in a field of its own. */
function collectionOf(body: Command, operation: string): string | undefined {
  const named = operation === "getMore" ? body.collection : body[operation];
  return typeof named === "string" ? named : undefined;
}

/** The command as JSON with each value as `?`: operators and fields stay, so that like queries are alike. */
function shapeOf(body: Command): string {
  const [operation, ...rest] = Object.keys(body).filter((key) => !hidden.has(key));
  if (operation === undefined) return "{}";
  const named = body[operation];
  const shape: Record<string, unknown> = { [operation]: typeof named === "string" ? named : "?" };
  for (const key of rest) shape[key] = key === "collection" ? body[key] : masked(body[key], 0);
  return JSON.stringify(shape);
}

function masked(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || depth >= deepest) return "?";
  if (Array.isArray(value)) return maskedList(value, depth);
  if (value instanceof Map) return masked(Object.fromEntries(value), depth);
  const prototype = Object.getPrototypeOf(value) as unknown;
  // Ids, dates and numbers of BSON are values.
  if (prototype !== Object.prototype && prototype !== null) return "?";
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner, depth + 1)]));
}

/** A list of values is one `?`, however long: how many ids a query names does not make it another query. */
function maskedList(list: unknown[], depth: number): unknown {
  const shapes = list.slice(0, longestList).map((item) => masked(item, depth + 1));
  return shapes.filter((shape, index) => index === 0 || JSON.stringify(shape) !== JSON.stringify(shapes[index - 1]));
}

function attributesOf(
  address: string | undefined,
  operation: string,
  collection: string | undefined,
  database: string | undefined,
): Attributes {
  const colon = address?.lastIndexOf(":") ?? -1;
  return {
    [ATTR_DB_SYSTEM_NAME]: "mongodb",
    [ATTR_DB_OPERATION_NAME]: operation,
    [ATTR_DB_COLLECTION_NAME]: collection,
    [ATTR_DB_NAMESPACE]: database,
    [ATTR_SERVER_ADDRESS]: colon < 0 ? address : address?.slice(0, colon),
    [ATTR_SERVER_PORT]: colon < 0 ? undefined : Number(address?.slice(colon + 1)),
  };
}

/** What a write did not do stands in a reply that is a success otherwise. */
function endedReply(span: RecordedSpan, result: PromiseLike<unknown>): PromiseLike<unknown> {
  return result.then(
    (reply) => {
      finished(span, writeErrorOf(reply), described);
      return reply;
    },
    (error: unknown) => {
      finished(span, error, described);
      throw error;
    },
  );
}

interface Reply {
  writeErrors?: { code?: number }[];
  /** Since version 6 replies are read from their bytes only where somebody asks. */
  has?: (name: string) => boolean;
  toObject?: () => Reply;
}

function writeErrorOf(reply: unknown): object | undefined {
  const known = reply as Reply | undefined;
  try {
    const read = known?.has?.("writeErrors") ? known.toObject?.() : known;
    return Array.isArray(read?.writeErrors) ? read.writeErrors[0] : undefined;
  } catch {
    return undefined;
  }
}

function described(error: object): PeerError {
  const { code } = error as { code?: unknown };
  if (typeof code !== "number") return { type: errorType(error) };
  return { type: String(code), attributes: { [ATTR_DB_RESPONSE_STATUS_CODE]: String(code) } };
}
