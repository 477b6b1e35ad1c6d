// ioredis: a span for each command, and one for each pipeline or transaction.
import type { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { ended, finished } from "./client-span.ts";
import { disableChannels } from "./library-channels.ts";
import type { Patch } from "./library-hooks.ts";
import { beginBatch, beginCommand, describedRedis, type RedisServer } from "./redis-commands.ts";

interface Command {
  name: string;
  args: unknown[];
  promise: Promise<unknown>;
  [seen]?: boolean;
}
interface Redis {
  options?: { host?: string; port?: number; path?: string; db?: number };
  condition?: { select?: number } | null;
}
interface Pipeline {
  redis: Redis;
  _queue: Command[];
  _transactions?: number;
  [automatic]?: boolean;
}
interface RedisClass {
  prototype: { sendCommand(this: Redis, command: Command, ...rest: unknown[]): unknown };
}
interface PipelineClass {
  prototype: { exec(this: Pipeline, ...args: unknown[]): unknown };
}
type AutoPipelining = (
  client: { _autoPipelines?: Map<unknown, Pipeline> },
  functionName: string,
  commandName: string,
  args: unknown[],
  callback: unknown,
) => unknown;

const seen = Symbol("tsdev.seen");
const automatic = Symbol("tsdev.automatic");

export const patch: Patch = (file, exports, tracers) => {
  if (file === "") return undefined;
  disableChannels("ioredis");
  const tracer = tracers.getTracer("@tsdev/sdk/ioredis");
  const { default: exported = exports } = exports as { default?: unknown };
  if (file.endsWith("autoPipelining.js"))
    patchAutomatic(exports as { executeWithAutoPipelining: AutoPipelining }, tracer);
  else if (/pipeline\.js$/i.test(file)) patchPipeline(exported as PipelineClass, tracer);
  else patchRedis(exported as RedisClass, tracer);
  return undefined;
};

function patchRedis({ prototype }: RedisClass, tracer: LeanTracer): void {
  const { sendCommand } = prototype;
  if (typeof sendCommand !== "function") throw new Error("Redis.prototype.sendCommand is missing");
  prototype.sendCommand = function tracedSendCommand(command, ...rest) {
    // A command comes again after it waited for the connection. Those of a pipeline were seen with it.
    if (!command || command[seen] || typeof command.name !== "string") return sendCommand.call(this, command, ...rest);
    command[seen] = true;
    const { name, args } = command;
    const span = beginCommand(tracer, name, args?.length ?? 0, () => serverOf(this), tracedSendCommand);
    if (!span) return sendCommand.call(this, command, ...rest);
    const result = sendCommand.call(this, command, ...rest);
    if (isPromise(result)) return ended(span, result, describedRedis);
    finished(span, undefined, describedRedis);
    return result;
  };
}

function patchPipeline({ prototype }: PipelineClass, tracer: LeanTracer): void {
  const { exec } = prototype;
  if (typeof exec !== "function") throw new Error("Pipeline.prototype.exec is missing");
  prototype.exec = function tracedExec(...args) {
    // Within a transaction this only adds the command EXEC.
    if (this._transactions) return exec.apply(this, args);
    const first = this._queue?.some((command) => !command[seen]);
    for (const command of this._queue ?? []) command[seen] = true;
    // Called again while it waits for the connection, or its commands are the app's own single ones.
    if (!first || this[automatic]) return exec.apply(this, args);
    const commands = this._queue
      .filter(({ name }) => name !== "multi" && name !== "exec")
      .map(({ name, args }) => ({ name, argumentCount: args?.length ?? 0 }));
    const batch = commands.length < this._queue.length ? "MULTI" : "PIPELINE";
    const span = beginBatch(tracer, batch, commands, () => serverOf(this.redis), tracedExec);
    const result = exec.apply(this, args);
    if (!span) return result;
    if (isPromise(result)) return endedBatch(span, result);
    finished(span, undefined, describedRedis);
    return result;
  };
}

/** With automatic pipelining each command is the app's own, however many of them go together. */
function patchAutomatic(exports: { executeWithAutoPipelining: AutoPipelining }, tracer: LeanTracer): void {
  const { executeWithAutoPipelining } = exports;
  if (typeof executeWithAutoPipelining !== "function") throw new Error("executeWithAutoPipelining is missing");
  const traced: AutoPipelining = (client, functionName, commandName, args, callback) => {
    const server = () => serverOf(client as Redis);
    const span = beginCommand(tracer, commandName, args?.length ?? 0, server, traced);
    const result = executeWithAutoPipelining(client, functionName, commandName, args, callback);
    for (const pipeline of client._autoPipelines?.values() ?? []) pipeline[automatic] = true;
    if (!span) return result;
    if (isPromise(result)) return ended(span, result, describedRedis);
    finished(span, undefined, describedRedis);
    return result;
  };
  exports.executeWithAutoPipelining = traced;
}

/** A pipeline resolves with `[error, value]` of each command; the first error is what it says of itself. */
function endedBatch(span: RecordedSpan, result: PromiseLike<unknown>): PromiseLike<unknown> {
  return result.then(
    (values) => {
      const failed = Array.isArray(values) ? values.find((value) => Array.isArray(value) && value[0]) : undefined;
      finished(span, failed?.[0], describedRedis);
      return values;
    },
    (error: unknown) => {
      finished(span, error, describedRedis);
      throw error;
    },
  );
}

function serverOf({ options, condition }: Redis): RedisServer {
  const { path, host, port, db } = options ?? {};
  return { address: path ?? host, port: path ? undefined : port, database: condition?.select ?? db };
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
