// Program: node-redis, with a pool of one, a transaction and a pipeline.
import { createClientPool } from "redis";
import { serve } from "./serve.ts";

const redis = createClientPool({ url: process.env.REDIS_URL! }, { minimum: 1, maximum: 1 });
await redis.connect();

async function customer(id: number): Promise<string> {
  return (await redis.get(`customer:${id}`)) ?? ""; // @query
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function multi(): Promise<unknown[]> {
  return await redis.multi().get("customer:3").incr("visits").del("visits").exec(); // @multi
}

async function pipeline(): Promise<unknown[]> {
  return await redis.multi().get("customer:1").get("customer:2").execAsPipeline(); // @pipeline
}

serve({ loop, multi, pipeline, fail: () => redis.incr("customer:1") });
