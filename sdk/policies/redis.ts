// Redis as the store of cached outputs and of rate limits, for all instances of an app.
import { deserialize, serialize } from "node:v8";
import type { Redis } from "ioredis";
import { TsdevError } from "../errors.ts";
import { createLog } from "../log.ts";
import type { CacheStore } from "./cache-store.ts";
import type { LimitStore } from "./limit-store.ts";

export interface RedisPoliciesOptions {
  /** Stands before every key: the name of the app and its environment, so that two on one Redis share nothing. */
  prefix: string;
  /** As ioredis takes it, such as `{ host, port, password, tls: {} }`; or with `url`, such as `redis://localhost:6379`. */
  connection: object;
  /** How long a call waits for Redis before it goes on without, milliseconds. Default 500. */
  limitMs?: number;
}

export interface RedisPolicies {
  /** For `shareCache`. */
  readonly cache: CacheStore;
  /** For `shareLimits`. */
  readonly limits: LimitStore;
  close(): Promise<void>;
}

/**
 * The token bucket of the rate limiter (GCRA), at once for all who ask, by the clock of Redis. KEYS: the limit; ARGV: the
 * time from one place to the next and that of all places, microseconds, and 1 to take a place that begins later. Kept is
 * the time at which all places are back. A microsecond is allowed for, so that rounding does not refuse the last place.
 */
const takePlace = `
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call("GET", KEYS[1]) or now), now)
local wait = full + ARGV[1] - ARGV[2] - now
if wait > 1 and ARGV[3] ~= "1" then return math.ceil(wait / 1000) end
full = full + ARGV[1]
redis.call("SET", KEYS[1], string.format("%.3f", full), "PX", math.ceil((full - now) / 1000))
if wait <= 1 then return 0 end
return math.ceil(wait / 1000)
`;

type Client = Redis & { takePlace(key: string, everyUs: number, perUs: number, reserve: 0 | 1): Promise<number> };

const log = createLog({ component: "tsdev-redis" });

/**
 * Needs the package `ioredis` (5 or later) in the app; throws `invalid_config` without it. While Redis is away nothing
 * fails: outputs are not cached, and each process counts its limits for itself. What cannot be copied into another process
 * (a `Blob` or a `File`) is not cached.
 *
 * @example
 * const shared = await redisPolicies({ prefix: "shop:production", connection: { url: process.env.REDIS_URL } });
 * shareCache(shared.cache);
 * shareLimits(shared.limits);
 */
export async function redisPolicies(options: RedisPoliciesOptions): Promise<RedisPolicies> {
  const { prefix, connection, limitMs = 500 } = options;
  const client = await connect(connection, limitMs);
  return {
    cache: {
      async get(key) {
        const found = await client.multi().getBuffer(`${prefix}:${key}`).pttl(`${prefix}:${key}`).exec();
        const [[, bytes], [, leftMs]] = found as [[null, Buffer | null], [null, number]];
        // Without an end it is none of ours.
        return bytes === null || leftMs < 0 ? undefined : { output: deserialize(bytes), leftMs };
      },
      async set(key, output, keepMs) {
        await client.set(`${prefix}:${key}`, serialize(output), "PX", Math.max(1, Math.ceil(keepMs)));
      },
    },
    limits: {
      take: (key, { limit, perMs, reserve }) =>
        client.takePlace(`${prefix}:tsdev:limit:${key}`, (perMs * 1_000) / limit, perMs * 1_000, reserve ? 1 : 0),
    },
    close: async () => client.disconnect(),
  };
}

/** Waits for a first answer, but not longer than a call would. */
async function connect(connection: RedisPoliciesOptions["connection"], limitMs: number): Promise<Client> {
  const { Redis } = await load();
  const { url, ...others } = connection as { readonly url?: string };
  const settings = {
    ...others,
    // A call waits for no connection, and what was sent before one broke may have been counted.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: limitMs,
    scripts: { takePlace: { lua: takePlace, numberOfKeys: 1 } },
  };
  const client = (url === undefined ? new Redis(settings) : new Redis(url, settings)) as Client;
  let lastFailure = "";
  client.on("error", (error: Error) => {
    // A server that is away is said once, not with each try.
    if (error.message !== lastFailure) log.warn("the connection to Redis failed", { error });
    lastFailure = error.message;
  });
  client.on("ready", () => {
    lastFailure = "";
  });
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, limitMs);
    const first = () => {
      clearTimeout(late);
      resolve();
    };
    client.once("ready", first).once("close", first);
  });
  return client;
}

async function load() {
  try {
    return await import("ioredis");
  } catch (cause) {
    throw new TsdevError("invalid_config", {
      message: "policies are to be shared over Redis, and the package ioredis cannot be loaded",
      fix: "npm install ioredis",
      cause,
    });
  }
}
