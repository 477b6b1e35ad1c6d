// The how-to page on policies runs as it stands.
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";
import { redisAvailable, startRedis } from "../triggers/redis.fixture.ts";

test.skipIf(!(await redisAvailable()))("Use policies", async () => {
  await using redis = await startRedis();
  expect((await runPage("how-to/use-policies.md", { REDIS_URL: redis.url })).trim().split("\n")).toEqual([
    "{ price: 4 } after 3 attempts",
    "1 load for a hundred calls",
    "unauthenticated",
    "forbidden",
    "refunded",
    "refunded",
    "rate_limited",
    "{ items: [ 'item 2' ] } for all instances",
    "out_of_stock 409 { left: 3 }",
  ]);
  const client = new Redis(redis.url);
  const keys = await client.keys("*");
  client.disconnect();
  expect(keys).toEqual([expect.stringMatching(/^shop:production:tsdev:cache:catalog@[^:]+:2$/)]);
});
