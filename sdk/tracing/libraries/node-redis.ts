// node-redis: a span for each command, and one for each pipeline or transaction, also through its pool.
import { activeContext, boundTo, inContext } from "../active-context.ts";
import { callSiteKey } from "../call-site.ts";
import type { LeanTracer } from "../tracer.ts";
import { ended } from "./client-span.ts";
import { disableChannels } from "./library-channels.ts";
import type { Patch } from "./library-hooks.ts";
import { beginBatch, beginCommand, describedRedis, type RedisServer } from "./redis-commands.ts";

type Arguments = readonly unknown[];
interface QueueClass {
  prototype: { addCommand(args: Arguments, options?: { asap?: boolean; chainId?: unknown }): unknown };
}
interface Client {
  options?: { url?: string; database?: number; socket?: { host?: string; port?: number; path?: string } };
}
type Send = (this: Client, commands: Arguments[], ...rest: unknown[]) => unknown;
interface ClientClass {
  prototype: Record<string, Send | undefined>;
}
interface PoolClass {
  prototype: { execute(fn: (...args: unknown[]) => unknown): unknown };
}

export const patch: Patch = (file, exports, tracers) => {
  if (file === "") return undefined;
  disableChannels("node-redis");
  const tracer = tracers.getTracer("@tsdev/sdk/redis");
  const { default: exported, RedisClientPool } = exports as { default?: unknown; RedisClientPool?: unknown };
  if (file.endsWith("commands-queue.js")) patchQueue(exported as QueueClass, tracer);
  else if (file.endsWith("pool.js")) patchPool(RedisClientPool as PoolClass, tracer);
  else patchClient(exported as ClientClass, tracer);
  return undefined;
};

/** Who is sending, while it calls its queue; the queue itself knows no server. */
let sending: Client | undefined;
/** False for version 4, whose commands reach the queue through a private method. */
let namesSender = true;
/** While a batch hands its commands over. */
let batching = false;

function patchQueue({ prototype }: QueueClass, tracer: LeanTracer): void {
  const { addCommand } = prototype;
  if (typeof addCommand !== "function") throw new Error("addCommand is missing");
  prototype.addCommand = function tracedAddCommand(args, options) {
    // What a connection says to begin with comes from no call of the app's.
    const opening = sending === undefined && (namesSender || options?.asap);
    if (batching || opening || !Array.isArray(args)) return addCommand.call(this, args, options);
    const client = sending;
    const server = () => (client ? serverOf(client) : unknownServer);
    const span = beginCommand(tracer, String(args[0]), args.length - 1, server, tracedAddCommand);
    const result = addCommand.call(this, args, options);
    return span ? ended(span, result as PromiseLike<unknown>, describedRedis) : result;
  };
}

function patchClient({ prototype }: ClientClass, tracer: LeanTracer): void {
  namesSender &&= typeof prototype._executeMulti === "function";
  const send = ["sendCommand", "_sendCommand"].filter((name) => typeof prototype[name] === "function");
  if (send.length === 0) throw new Error("sendCommand is missing");
  for (const name of send) {
    const original = prototype[name]!;
    prototype[name] = function tracedSend(...args) {
      const outer = sending;
      sending = this;
      try {
        return original.apply(this, args);
      } finally {
        sending = outer;
      }
    };
  }
  for (const name of ["multiExecutor", "_executeMulti"]) patchBatch(prototype, name, tracer);
  patchBatch(prototype, "_executePipeline", tracer);
}

function patchBatch(prototype: ClientClass["prototype"], name: string, tracer: LeanTracer): void {
  const original = prototype[name];
  if (typeof original !== "function") return;
  const batch = name === "_executePipeline" ? "PIPELINE" : "MULTI";
  prototype[name] = function tracedBatch(commands, ...rest) {
    const named = (Array.isArray(commands) ? commands : []).map((command) => {
      const { args } = command as unknown as { args: Arguments };
      return { name: String(args?.[0]), argumentCount: (args?.length ?? 1) - 1 };
    });
    const span = beginBatch(tracer, batch, named, () => serverOf(this), tracedBatch);
    const outer = batching;
    batching = true;
    try {
      const result = original.call(this, commands, ...rest);
      return span ? ended(span, result as PromiseLike<unknown>, describedRedis) : result;
    } finally {
      batching = outer;
    }
  };
}

/** A task that waited for a client is run by whoever gives one back. */
function patchPool(pool: PoolClass | undefined, tracer: LeanTracer): void {
  if (typeof pool?.prototype.execute !== "function") throw new Error("RedisClientPool.prototype.execute is missing");
  const { prototype } = pool;
  const { execute } = prototype;
  prototype.execute = function tracedExecute(fn) {
    const active = activeContext();
    const site = tracer.source.callSites.capture(tracedExecute);
    const inside = site.length > 0 ? active.setValue(callSiteKey, site) : active;
    return inContext(active, () => execute.call(this, boundTo(inside, fn)));
  };
}

const unknownServer: RedisServer = { address: undefined, port: undefined, database: undefined };

function serverOf({ options }: Client): RedisServer {
  const { url, database, socket } = options ?? {};
  const parsed = url === undefined ? undefined : URL.parse(url);
  const address = socket?.path ?? socket?.host ?? (parsed?.hostname || "localhost");
  const port = socket?.path ? undefined : (socket?.port ?? (Number(parsed?.port) || 6379));
  return { address, port, database: database ?? 0 };
}
