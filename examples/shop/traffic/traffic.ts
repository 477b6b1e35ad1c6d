// Traffic: customers who browse, buy and have orders shipped, spread evenly over some seconds.
import { setTimeout as after } from "node:timers/promises";
import { type Answer, type Client, clientOf } from "./client.ts";

/** What one round asks for. */
const mix = { orders: 130, catalog: 40, export: 36, checkout: 340, ship: 460 };

/** How often a client tries a failed checkout or ship again, and how long it waits before. */
const triesAgain = 3;
const momentMs = 300;

export interface TrafficOptions {
  /** The shop's address, for example `http://shop.demo.localhost:3200`. */
  url: string;
  /** Which customers buy what, and in which order things happen. */
  seed?: number;
  /** How long one round is spread over; 0 goes as fast as `concurrency` allows. */
  seconds?: number;
  rounds?: number;
  /** At most this many requests at once. More than the machine can serve makes every run look slow. */
  concurrency?: number;
  signal?: AbortSignal;
  onProgress?: (soFar: TrafficResult) => void;
}

export interface TrafficResult {
  /** Requests sent, those that were tried again included. */
  requests: number;
  /** Answers of 500 and above, and requests without an answer. */
  failed: number;
  /** Failed checkouts and ships that worked when they were tried again. */
  healed: number;
  /** Checkouts and ships that failed every time. */
  givenUp: number;
  orders: number;
  catalog: number;
  export: number;
  checkouts: number;
  shipped: number;
  seconds: number;
}

/** Drives the shop and tells what happened. Each waiting order is shipped once; what fails is tried again after a moment. */
export async function driveTraffic(options: TrafficOptions): Promise<TrafficResult> {
  const { url, seed = 7, seconds = 20, rounds = 1, concurrency = 5, signal, onProgress } = options;
  const client = clientOf(url, signal);
  const started = performance.now();
  const result: TrafficResult = {
    requests: 0,
    failed: 0,
    healed: 0,
    givenUp: 0,
    orders: 0,
    catalog: 0,
    export: 0,
    checkouts: 0,
    shipped: 0,
    seconds: 0,
  };

  async function send(...request: Parameters<Client["send"]>): Promise<Answer> {
    const answer = await client.send(...request);
    result.requests++;
    if (isFailure(answer)) result.failed++;
    result.seconds = (performance.now() - started) / 1000;
    onProgress?.(result);
    return answer;
  }

  async function ask<T>(path: string): Promise<T> {
    const { status, body } = await send("GET", path);
    if (status === 200) return JSON.parse(body) as T;
    signal?.throwIfAborted();
    throw new Error(`no shop answers at ${url}: GET ${path} gave ${status || body}`);
  }

  /** Sends a request until it works, as a patient customer does. */
  async function insist(path: string, body?: unknown): Promise<boolean> {
    for (let attempt = 0; attempt <= triesAgain; attempt++) {
      if (attempt > 0) await after(momentMs, undefined, { signal });
      const answer = await send("POST", path, body);
      if (isFailure(answer)) continue;
      if (attempt > 0) result.healed++;
      return answer.status < 300;
    }
    result.givenUp++;
    return false;
  }

  try {
    for (let round = 0; round < rounds; round++) {
      const newest = await ask<{ id: number }[]>("/orders");
      const waiting = await ask<number[]>(`/orders/waiting?limit=${mix.ship}`);
      // The newest order names this round, so that its references are new in this shop and the same in an equal one.
      const label = `web-${newest[0]?.id ?? 0}`;
      const carts = Array.from({ length: mix.checkout }, (_, number) => cart(seed, label, number));
      const tasks = shuffled(seed, [
        ...times(mix.orders, async () => {
          if (!isFailure(await send("GET", "/orders"))) result.orders++;
        }),
        ...times(mix.catalog, async () => {
          if (!isFailure(await send("GET", "/catalog"))) result.catalog++;
        }),
        ...times(mix.export, async () => {
          if (!isFailure(await send("GET", "/customers/export"))) result.export++;
        }),
        // What is bought and shipped goes in order, whatever comes between: the warehouse ships the oldest first.
        ...times(carts.length, async () => {
          if (await insist("/checkout", carts.shift())) result.checkouts++;
        }),
        ...times(waiting.length, async () => {
          if (await insist(`/orders/${waiting.shift()}/ship`)) result.shipped++;
        }),
      ]);
      await paced(tasks, (seconds * 1000) / tasks.length, concurrency, signal);
    }
  } finally {
    client.close();
  }
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

/** Starts one task every `everyMs` while no more than `limit` run, and waits for all, also when one throws. */
async function paced(tasks: (() => Promise<void>)[], everyMs: number, limit: number, signal?: AbortSignal) {
  const started = performance.now();
  const running = new Set<Promise<void>>();
  const errors: unknown[] = [];
  for (const [index, task] of tasks.entries()) {
    const early = started + index * everyMs - performance.now();
    if (early > 1) await after(early, undefined, { signal }).catch((error) => errors.push(error));
    while (running.size >= limit) await Promise.race(running);
    if (errors.length > 0 || signal?.aborted) break;
    const run = task()
      .catch((error) => void errors.push(error))
      .finally(() => running.delete(run));
    running.add(run);
  }
  await Promise.all(running);
  signal?.throwIfAborted();
  if (errors.length > 0) throw errors[0];
}

function times(count: number, task: () => Promise<void>): (() => Promise<void>)[] {
  return Array.from({ length: count }, () => task);
}

function isFailure({ status }: Answer): boolean {
  return status === 0 || status >= 500;
}

/** What a customer buys: one or two products, never the last one, which is sold out. */
function cart(seed: number, label: string, number: number) {
  const first = 1 + ((seed * 31 + number * 17) % 58);
  const lines = [{ productId: first, quantity: 1 + (number % 3) }];
  if (number % 3 === 0) lines.push({ productId: first + 1, quantity: 1 });
  const customerId = 1 + ((seed * 101 + number * 37) % 500);
  return { reference: `${label}-${number}`, customerId, lines, paymentMethod: `pm_${customerId}` };
}

/** The same shuffle for the same seed (Fisher and Yates, with a linear congruential generator). */
function shuffled<T>(seed: number, list: T[]): T[] {
  let state = seed;
  for (let index = list.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (index + 1));
    [list[index], list[other]] = [list[other] as T, list[index] as T];
  }
  return list;
}
