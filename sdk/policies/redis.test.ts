// Policies over a real Redis: instances share outputs and limits, and go on by themselves while it is away.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RedisFixture, redisAvailable, startRedis } from "../triggers/redis.fixture.ts";
import { shareCache } from "./cache-store.ts";
import { shareLimits } from "./limit-store.ts";
import { OutputCache } from "./output-cache.ts";
import { type RedisPolicies, redisPolicies } from "./redis.ts";
import { SharedRateLimiter } from "./shared-rate-limiter.ts";

const signal = new AbortController().signal;

describe.skipIf(!(await redisAvailable()))("policies over Redis", () => {
  let redis: RedisFixture;
  const open: RedisPolicies[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis[Symbol.asyncDispose]());
  afterEach(async () => {
    shareCache(undefined);
    shareLimits(undefined);
    await Promise.all(open.splice(0).map((one) => one.close()));
  });

  async function policies(prefix: string, limitMs = 5_000): Promise<RedisPolicies> {
    const one = await redisPolicies({ prefix, connection: { url: redis.url }, limitMs });
    open.push(one);
    return one;
  }

  test("an output that one instance made is answered by another, whatever kind of value it holds, until its time is over", async () => {
    const output = {
      at: new Date(5),
      of: new Map([["a", 1n]]),
      in: new Set([1]),
      bytes: new Uint8Array([1]),
      none: undefined,
    };
    const { cache: one } = await policies("a");
    const { cache: other } = await policies("a");
    await one.set("k", output, 60_000);
    const found = await other.get("k");
    expect(found?.output).toStrictEqual(output);
    expect(found?.leftMs).toBeGreaterThan(50_000);
    expect(await (await policies("b")).cache.get("k")).toBeUndefined();
    await one.set("short", 1, 1);
    await expect.poll(() => other.get("short")).toBeUndefined();
  });

  test("a stale output is answered and made anew for all", async () => {
    shareCache((await policies("stale")).cache);
    const [here, there] = [0, 1].map(() => new OutputCache("it", { ttlMs: 1, staleMs: 60_000 }, () => "space"));
    await here!.get("k", signal, async () => "first");
    let result = "";
    await expect
      .poll(async () => {
        ({ result } = await there!.get("k", signal, async () => "second"));
        return result;
      })
      .toBe("stale");
    await expect.poll(async () => (await here!.get("k", signal, async () => "second")).output).toBe("second");
  });

  test("processes that call at the same time begin together as many as the limit says", async () => {
    const program = `
      import { call, procedure, redisPolicies, shareLimits, TsdevError } from ${JSON.stringify(new URL("../index.ts", import.meta.url).href)};
      import { z } from "zod";
      const shared = await redisPolicies({ prefix: "many", connection: { url: ${JSON.stringify(redis.url)} }, limitMs: 5_000 });
      shareLimits(shared.limits);
      const one = procedure({ name: "one", input: z.object({}), output: z.object({}), handler: () => ({}),
        policies: { rateLimit: { limit: 20, perMs: 3_600_000 } } });
      const all = await Promise.allSettled(Array.from({ length: 30 }, () => call(one, {})));
      const refused = all.filter(({ reason }) => TsdevError.is(reason) && reason.code === "rate_limited" && reason.retryAfterMs > 100_000);
      console.log(JSON.stringify([all.filter(({ status }) => status === "fulfilled").length, refused.length]));
      await shared.close();`;
    const args = ["--input-type=module-typescript", "--eval", program];
    const cwd = new URL("../..", import.meta.url);
    const ended = await Promise.all([1, 2, 3].map(() => promisify(execFile)(process.execPath, args, { cwd })));
    const counts = ended.map(({ stdout }) => JSON.parse(stdout) as [number, number]);
    expect(counts.reduce((sum, [began]) => sum + began, 0)).toBe(20);
    expect(counts.reduce((sum, [, refused]) => sum + refused, 0)).toBe(70);
  });

  test("places come back evenly, a reserved one is taken though it begins later, and keys do not count together", async () => {
    shareLimits((await policies("places")).limits);
    const it = new SharedRateLimiter("it", "one", { limit: 2, perMs: 7_200_000 });
    const other = new SharedRateLimiter("it", "one", { limit: 2, perMs: 7_200_000 });
    expect([await it.reserve("k"), await other.reserve("k")]).toEqual([0, 0]);
    const [third, fourth] = [await it.reserve("k"), await other.reserve("k")];
    expect(third).toBeGreaterThan(3_500_000);
    expect(fourth - third).toBeGreaterThan(3_500_000);
    await expect(it.admit("k")).rejects.toMatchObject({ code: "rate_limited" });
    await it.admit("another");
    const quick = new SharedRateLimiter("it", "quick", { limit: 1, perMs: 5 });
    await quick.admit("k");
    await expect
      .poll(() =>
        quick.admit("k").then(
          () => "begun",
          () => "refused",
        ),
      )
      .toBe("begun");
  });

  test("while Redis is away each instance counts and makes outputs by itself, and nothing waits or fails", async () => {
    const shared = await policies("away", 1_000);
    shareCache(shared.cache);
    shareLimits(shared.limits);
    const cache = new OutputCache("it", { ttlMs: 60_000 }, () => "space");
    const limit = new SharedRateLimiter("it", "away", { limit: 2, perMs: 3_600_000 });
    await limit.admit("k");
    await redis.crash();
    await limit.admit("k");
    await limit.admit("k");
    await expect(limit.admit("k")).rejects.toMatchObject({ code: "rate_limited" });
    expect((await cache.get("k", signal, async () => "made")).output).toBe("made");
    await redis.start();
    // Known again as soon as the connection is: the first call alone had counted there.
    await expect
      .poll(
        () =>
          limit.admit("k").then(
            () => "begun",
            () => "refused",
          ),
        { timeout: 20_000 },
      )
      .toBe("begun");
    await expect(limit.admit("k")).rejects.toMatchObject({ code: "rate_limited" });
  });

  test("a Redis that never answers delays the start and a call by no more than the limit", async () => {
    const silent = (await import("node:net")).createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as { port: number };
    const one = await redisPolicies({ prefix: "x", connection: { host: "127.0.0.1", port }, limitMs: 100 });
    open.push(one);
    await expect(one.cache.get("k")).rejects.toThrow();
    await expect(one.limits.take("k", { limit: 1, perMs: 1, reserve: false })).rejects.toThrow();
    silent.close();
  });
});
