// Output cache: one call for all who wait, stale while a new one is made, nobody's object is another's.
import { afterEach, expect, test } from "vitest";
import { type CachedOutput, type CacheStore, MemoryCacheStore, shareCache } from "./cache-store.ts";
import { OutputCache } from "./output-cache.ts";

const signal = new AbortController().signal;
const cache = (options: { ttlMs: number; staleMs?: number } = { ttlMs: 60_000 }) =>
  new OutputCache("it", options, () => "space");

/** A time to live that has passed, without waiting: until the clock shows it. */
async function until(ready: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await ready())) await new Promise(setImmediate);
}

afterEach(() => shareCache(undefined));

test("a hundred who ask at the same time share one call, and each has an output of its own", async () => {
  const it = cache();
  const gate = Promise.withResolvers<{ list: number[] }>();
  let made = 0;
  const asked = Array.from({ length: 100 }, () =>
    it.get("k", signal, () => {
      made += 1;
      return gate.promise;
    }),
  );
  gate.resolve({ list: [1] });
  const answers = await Promise.all(asked);
  expect(made).toBe(1);
  expect(answers.map(({ result }) => result)).toEqual(["miss", ...Array(99).fill("hit")]);
  (answers[0]!.output as { list: number[] }).list.push(2);
  expect(answers[1]!.output).toEqual({ list: [1] });
  expect((await it.get("k", signal, () => Promise.reject(new Error("not asked")))).output).toEqual({ list: [1] });
});

test("an error goes to all who wait and is not kept", async () => {
  const it = cache();
  const gate = Promise.withResolvers<never>();
  const asked = Array.from({ length: 10 }, () => it.get("k", signal, () => gate.promise));
  const settled = Promise.allSettled(asked);
  gate.reject(new Error("down"));
  expect((await settled).every((one) => one.status === "rejected" && one.reason.message === "down")).toBe(true);
  expect(await it.get("k", signal, async () => "up")).toEqual({ output: "up", result: "miss" });
});

test("an output is fresh, then stale while one new one is made, which outlives its caller", async () => {
  const it = cache({ ttlMs: 1, staleMs: 600_000 });
  await it.get("k", signal, async () => "old");
  const gate = Promise.withResolvers<string>();
  let refreshes = 0;
  let seen: AbortSignal | undefined;
  const refresh = (inner: AbortSignal) => {
    refreshes += 1;
    seen = inner;
    return gate.promise;
  };
  await until(async () => (await it.get("k", signal, refresh)).result === "stale");
  const caller = new AbortController();
  expect(await it.get("k", caller.signal, refresh)).toEqual({ output: "old", result: "stale" });
  caller.abort();
  expect(refreshes).toBe(1);
  expect(seen?.aborted).toBe(false);
  gate.resolve("new");
  await until(async () => (await it.get("k", signal, async () => "newer")).output !== "old");
});

test("a refresh that fails leaves the stale output", async () => {
  const it = cache({ ttlMs: 1, staleMs: 600_000 });
  await it.get("k", signal, async () => "old");
  let refreshes = 0;
  const refresh = () => {
    refreshes += 1;
    return Promise.reject(new Error("down"));
  };
  await until(async () => {
    await it.get("k", signal, refresh);
    return refreshes >= 2;
  });
  expect(await it.get("k", signal, refresh)).toEqual({ output: "old", result: "stale" });
});

test("one who gives up ends the call only when nobody else waits for it", async () => {
  const it = cache();
  const [one, two] = [new AbortController(), new AbortController()];
  let seen: AbortSignal | undefined;
  const make = (inner: AbortSignal) => {
    seen = inner;
    return new Promise<string>((_, reject) => inner.addEventListener("abort", () => reject(inner.reason)));
  };
  const asked = [it.get("k", one.signal, make), it.get("k", two.signal, make)];
  one.abort(new Error("one has gone"));
  await expect(asked[0]).rejects.toThrow("one has gone");
  expect(seen?.aborted).toBe(false);
  two.abort(new Error("two has gone"));
  await expect(asked[1]).rejects.toThrow("two has gone");
  expect(seen?.aborted).toBe(true);
  expect(await it.get("k", signal, async () => "anew")).toEqual({ output: "anew", result: "miss" });
});

test("a call that does not mind that all have gone is not what the next one gets", async () => {
  const it = cache();
  const caller = new AbortController();
  const asked = it.get("k", caller.signal, () => new Promise(() => {}));
  caller.abort(new Error("gone"));
  await expect(asked).rejects.toThrow("gone");
  expect(await it.get("k", signal, async () => "anew")).toEqual({ output: "anew", result: "miss" });
});

test("a refresh goes on though the one who came to wait for it gives up", async () => {
  let kept: CachedOutput | undefined = { output: "old", leftMs: 1 };
  shareCache({ get: () => kept, set: () => {} });
  const it = cache({ ttlMs: 1_000, staleMs: 1_000 });
  let seen: AbortSignal | undefined;
  const refresh = (inner: AbortSignal) => {
    seen = inner;
    return new Promise<string>(() => {});
  };
  expect((await it.get("k", signal, refresh)).result).toBe("stale");
  kept = undefined;
  const caller = new AbortController();
  const asked = it.get("k", caller.signal, refresh);
  await new Promise(setImmediate);
  caller.abort(new Error("gone"));
  await expect(asked).rejects.toThrow("gone");
  expect(seen?.aborted).toBe(false);
});

test("a handler that goes on with what it returned changes nothing that is kept", async () => {
  const it = cache();
  const own = { list: [1] };
  await it.get("k", signal, async () => own);
  own.list.push(2);
  expect((await it.get("k", signal, async () => own)).output).toEqual({ list: [1] });
});

test("what cannot be copied is refused, and the number of outputs is bounded", async () => {
  await expect(cache().get("k", signal, async () => ({ fn: () => 1 }))).rejects.toMatchObject({
    code: "invalid_output",
  });
  const store = new MemoryCacheStore(3);
  for (const key of ["a", "b", "c", "d"]) store.set(key, key, 60_000);
  expect(["a", "b", "c", "d"].map((key) => store.get(key)?.output)).toEqual([undefined, "b", "c", "d"]);
});

test("undefined is an output too", async () => {
  const it = cache();
  await it.get("k", signal, async () => undefined);
  expect(await it.get("k", signal, async () => "anew")).toEqual({ output: undefined, result: "hit" });
});

test("a shared store serves several caches, is asked once for all, and fails no call when it is away", async () => {
  const kept = new Map<string, CachedOutput>();
  let asked = 0;
  let away = false;
  const store: CacheStore = {
    async get(key) {
      asked += 1;
      await new Promise(setImmediate);
      if (away) throw new Error("away");
      return kept.get(key);
    },
    async set(key, output, leftMs) {
      if (away) throw new Error("away");
      kept.set(key, { output: structuredClone(output), leftMs });
    },
  };
  shareCache(store);
  const [cacheA, cacheB] = [cache(), cache()];
  let made = 0;
  const make = async () => ++made;
  const answers = await Promise.all(Array.from({ length: 50 }, () => cacheA.get("k", signal, make)));
  expect(answers.every(({ output }) => output === 1)).toBe(true);
  expect([made, asked]).toEqual([1, 1]);
  expect(await cacheB.get("k", signal, make)).toEqual({ output: 1, result: "hit" });
  away = true;
  expect(await cacheB.get("k", signal, make)).toEqual({ output: 2, result: "miss" });
});
