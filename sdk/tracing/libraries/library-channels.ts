// Library channels: spans from what libraries publish themselves, for those that a bundler put into the app.
import { tracingChannel } from "node:diagnostics_channel";
import type { RecordedSpan } from "../span.ts";
import type { LeanTracer, LeanTracerProvider } from "../tracer.ts";
import { begun, type Call, errorType, finished, operationOf, type PeerError } from "./client-span.ts";
import { beginBatch, beginCommand, describedRedis } from "./redis-commands.ts";

interface Server {
  database?: string | number;
  serverAddress?: string;
  serverPort?: number;
}
interface RedisMessage extends Server {
  command: string;
  args?: unknown[];
  batchMode?: "MULTI" | "PIPELINE";
  batchSize?: number;
}
interface SqlMessage extends Server {
  query: string;
}
type Begin<M> = (message: M, tracer: LeanTracer, below: (...args: never[]) => unknown) => RecordedSpan | undefined;

const stops = new Map<string, (() => void)[]>();

/** A library that is patched when it is loaded must not be heard as well. */
export function disableChannels(library: string): void {
  for (const stop of stops.get(library) ?? []) stop();
  stops.delete(library);
}

export function listenToLibraries(tracers: LeanTracerProvider): void {
  const mysql = tracers.getTracer("@tsdev/sdk/mysql2");
  listen<SqlMessage>("mysql2", "mysql2:query", mysql, beginSql, describedSql);
  listen<SqlMessage>("mysql2", "mysql2:execute", mysql, beginSql, describedSql);
  for (const library of ["ioredis", "node-redis"]) {
    const tracer = tracers.getTracer(`@tsdev/sdk/${library === "ioredis" ? library : "redis"}`);
    listen<RedisMessage>(library, `${library}:command`, tracer, beginRedis, describedRedis);
    listen<RedisMessage>(library, `${library}:batch`, tracer, beginRedisBatch, describedRedis);
  }
}

function listen<M extends object>(
  library: string,
  name: string,
  tracer: LeanTracer,
  begin: Begin<M>,
  describe: (error: object) => PeerError,
): void {
  const spans = new WeakMap<object, RecordedSpan>();
  const end = (message: object, error?: unknown) => {
    const span = spans.get(message);
    if (span) finished(span, error, describe);
  };
  const subscribers = {
    start: function started(message: unknown) {
      const span = begin(message as M, tracer, started);
      if (span) spans.set(message as M, span);
    },
    end: () => {},
    asyncStart: () => {},
    asyncEnd: (message: unknown) => end(message as M),
    error: (message: unknown) => end(message as M, (message as { error?: unknown }).error),
  };
  const channel = tracingChannel<unknown, object>(name);
  channel.subscribe(subscribers);
  const known = stops.get(library) ?? [];
  stops.set(library, [...known, () => channel.unsubscribe(subscribers)]);
}

const serverOf = ({ database, serverAddress, serverPort }: Server) => ({
  address: serverAddress,
  port: serverPort,
  database,
});

const beginRedis: Begin<RedisMessage> = (message, tracer, below) =>
  // Commands of a batch are told of one by one, and the batch as a whole.
  message.batchMode === undefined
    ? beginCommand(tracer, message.command, argumentCount(message), () => serverOf(message), below)
    : undefined;

// What is in a batch is not told with it.
const beginRedisBatch: Begin<RedisMessage> = (message, tracer, below) =>
  beginBatch(tracer, message.batchMode ?? "PIPELINE", message.batchSize ?? 0, () => serverOf(message), below);

// ioredis leaves the command out of its arguments, node-redis does not.
function argumentCount({ command, args = [] }: RedisMessage): number {
  return String(args[0]).toUpperCase() === command.toUpperCase() ? args.length - 1 : args.length;
}

const beginSql: Begin<SqlMessage> = (message, tracer, below) => begun(tracer, () => describedCall(message), below);

const describedCall = (message: SqlMessage): Call => ({
  name: [operationOf(message.query) || "query", message.database].filter(Boolean).join(" "),
  text: withoutLiterals(message.query),
  attributes: {
    "db.system.name": "mysql",
    "db.namespace": message.database || undefined,
    "server.address": message.serverAddress,
    "server.port": message.serverPort,
  },
});

/** Here the statement has its values put in already. */
function withoutLiterals(text: string): string {
  return text.replace(/'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|\b\d+(?:\.\d+)?\b/g, "?");
}

const describedSql = (error: object): PeerError => ({ type: errorType(error) });
