// The contract of a queue, run against every adapter.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openQueue, type QueueLog } from "./bullmq-queue.ts";
import type { Queue } from "./queue.ts";

const worker = new URL("./__fixtures__/worker.ts", import.meta.url).pathname;
const patience = { timeout: 15_000, interval: 25 };

/** Declares the tests; `where` gives the server, and each test uses queues of its own. */
export function queueContract(where: () => { postgresUrl: string } | { redisUrl: string }): void {
  let queue: Queue;
  let failures: Array<Parameters<QueueLog>[0]>;
  const others: Queue[] = [];
  const open = async () => {
    const opened = await openQueue(where(), { log: (event) => failures.push(event) });
    others.push(opened);
    return opened;
  };

  beforeEach(async () => {
    failures = [];
    queue = await open();
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((opened) => opened.close()));
  });

  test("a job added before there is a worker runs with its data, and nothing is left of it", async () => {
    await queue.add("early", { id: "one", data: { n: 1 } });
    expect(await queue.depth("early")).toBe(1);
    const seen: unknown[] = [];
    await queue.work("early", async (job) => void seen.push(job));
    await expect.poll(() => seen, patience).toEqual([{ id: "one", data: { n: 1 } }]);
    await expect.poll(() => queue.depth("early"), patience).toBe(0);
  });

  test("any text is an id, also a number and one with colons", async () => {
    const ids = ["7", "a:b:c", "ü/ %", "x".repeat(200)];
    for (const id of ids) await queue.add("ids", { id, data: {} });
    const seen: string[] = [];
    await queue.work("ids", async (job) => void seen.push(job.id));
    await expect.poll(() => seen, patience).toEqual(ids);
  });

  test("an id that waits or runs is not added again, one that finished is", async () => {
    const started: string[] = [];
    let finish = () => {};
    await queue.add("once", { id: "same", data: {} });
    await queue.add("once", { id: "same", data: {} });
    expect(await queue.depth("once")).toBe(1);
    await queue.work("once", async (job) => {
      started.push(job.id);
      await new Promise<void>((settle) => {
        finish = settle;
      });
    });
    await expect.poll(() => started.length, patience).toBe(1);
    await queue.add("once", { id: "same", data: {} });
    expect(await queue.depth("once")).toBe(1);
    finish();
    await expect.poll(() => queue.depth("once"), patience).toBe(0);
    expect(started).toEqual(["same"]);

    await queue.add("once", { id: "same", data: {} });
    await expect.poll(() => started.length, patience).toBe(2);
    finish();
    await expect.poll(() => queue.depth("once"), patience).toBe(0);
  });

  test("no more jobs run at once than was asked for", async () => {
    let [running, most, done] = [0, 0, 0];
    await queue.work(
      "wide",
      async () => {
        running++;
        most = Math.max(most, running);
        await new Promise((settle) => setTimeout(settle, 30));
        running--;
        done++;
      },
      { concurrency: 3 },
    );
    for (let i = 0; i < 9; i++) await queue.add("wide", { id: `job ${i}`, data: {} });
    await expect.poll(() => done, patience).toBe(9);
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(1);
  });

  test("a handler that fails is tried again, later each time", async () => {
    const times: number[] = [];
    await queue.work("flaky", async () => {
      times.push(Date.now());
      if (times.length < 3) throw new Error("not yet");
    });
    await queue.add("flaky", { id: "one", data: {} });
    await expect.poll(() => times.length, patience).toBe(3);
    await expect.poll(() => queue.depth("flaky"), patience).toBe(0);
    expect(times[2]! - times[1]!).toBeGreaterThan(times[1]! - times[0]!);
    expect(failures).toEqual([]);
  });

  test("a handler that always fails is given up, told once, and its id is free again", async () => {
    let calls = 0;
    await queue.work("broken", async () => {
      calls++;
      throw new Error("always");
    });
    await queue.add("broken", { id: "one", data: {} });
    await expect.poll(() => failures.length, { timeout: 30_000, interval: 50 }).toBe(1);
    expect(failures[0]).toMatchObject({ queue: "broken", job: "one", error: { message: "always" } });
    expect(calls).toBe(5);
    expect(await queue.depth("broken")).toBe(0);
    await queue.add("broken", { id: "one", data: {} });
    await expect.poll(() => calls, patience).toBeGreaterThan(5);
  });

  test("closing tells the handlers, and what they did not finish goes to the next start at once", async () => {
    await queue.add("closing", { id: "one", data: {} });
    const first = await open();
    let told = false;
    const started = Promise.withResolvers<void>();
    await first.work("closing", async (_job, signal) => {
      started.resolve();
      await new Promise((settle) => signal.addEventListener("abort", settle, { once: true }));
      told = true;
      throw signal.reason;
    });
    await started.promise;
    await first.close();
    expect(told).toBe(true);
    const at = Date.now();
    const seen: string[] = [];
    await queue.work("closing", async (job) => void seen.push(job.id));
    await expect.poll(() => seen, patience).toEqual(["one"]);
    expect(Date.now() - at).toBeLessThan(2_000);
    expect(failures).toEqual([]);
  });

  test("a job whose worker is killed, three times over, is taken up within seconds each time", async () => {
    await queue.add("killed", { id: "one", data: {} });
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [worker, JSON.stringify(where())], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = await once(child.stdout!, "data");
      expect(String(line).trim()).toBe("one");
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    const at = Date.now();
    const seen: string[] = [];
    await queue.work("killed", async (job) => void seen.push(job.id));
    await expect.poll(() => seen, patience).toEqual(["one"]);
    expect(Date.now() - at).toBeLessThan(8_000);
    await expect.poll(() => queue.depth("killed"), patience).toBe(0);
    expect(failures).toEqual([]);
  });

  test("a process that stood still longer than its lock runs the job once", async () => {
    let [calls, done] = [0, false];
    await queue.add("still", { id: "one", data: {} });
    await queue.work(
      "still",
      async () => {
        calls++;
        // Long enough for a look at the running jobs to note this one as a candidate.
        await new Promise((settle) => setTimeout(settle, 2_000));
        // The loop stands still: no lock is renewed.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000);
        await new Promise((settle) => setTimeout(settle, 3_000));
        done = true;
      },
      { concurrency: 2 },
    );
    await expect.poll(() => done, patience).toBe(true);
    await expect.poll(() => queue.depth("still"), patience).toBe(0);
    expect(calls).toBe(1);
  });
}
