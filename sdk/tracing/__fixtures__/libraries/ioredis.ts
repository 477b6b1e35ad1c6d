// Program: ioredis, with a pipeline, a transaction and automatic pipelining.
import { Redis } from "ioredis";
import { serve } from "./serve.ts";

const redis = new Redis(process.env.REDIS_URL!);
const automatic = new Redis(process.env.REDIS_URL!, { enableAutoPipelining: true });

async function customer(id: number): Promise<string> {
  return (await redis.get(`customer:${id}`)) ?? ""; // @query
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function pipeline(): Promise<unknown[]> {
  const answers = await redis.pipeline().get("customer:1").get("customer:2").exec(); // @pipeline
  return answers!.map(([, name]) => name);
}

async function multi(): Promise<unknown[]> {
  const answers = await redis.multi().get("customer:3").incr("visits").del("visits").exec(); // @multi
  return answers!.map(([, value]) => value);
}

async function automatically(): Promise<unknown[]> {
  return Promise.all([1, 2].map((id) => automatic.get(`customer:${id}`))); // @automatic
}

serve({ loop, pipeline, multi, automatic: automatically, fail: () => redis.incr("customer:1") });
