// Rate limiter: how many may begin, how long the others wait, and for whom.
import { expect, test } from "vitest";
import { RateLimiter } from "./rate-limiter.ts";

function limiter(limit: number, perMs: number) {
  const clock = { now: 5_000 };
  return { clock, limiter: new RateLimiter("it", { limit, perMs }, () => clock.now) };
}

test("as many as the limit begin at once, then one for each part of the time, and nobody sooner than told", () => {
  const { clock, limiter: it } = limiter(4, 1_000);
  for (let n = 0; n < 4; n++) it.admit("");
  expect(() => it.admit("")).toThrow(expect.objectContaining({ code: "rate_limited", retryAfterMs: 250 }));
  clock.now += 249;
  expect(() => it.admit("")).toThrow(expect.objectContaining({ retryAfterMs: 1 }));
  clock.now += 1;
  it.admit("");
  expect(() => it.admit("")).toThrow();
  clock.now += 100_000;
  for (let n = 0; n < 4; n++) it.admit("");
  expect(() => it.admit("")).toThrow();
});

test("over a long time no more than the limit begin for each time, besides the first burst", () => {
  const { clock, limiter: it } = limiter(10, 1_000);
  let begun = 0;
  for (let ms = 0; ms < 60_000; ms += 7) {
    clock.now = 5_000 + ms;
    try {
      it.admit("");
      begun += 1;
    } catch {}
  }
  expect(begun).toBeLessThanOrEqual(60 * 10 + 10);
  expect(begun).toBeGreaterThan(60 * 10 - 10);
});

test("keys have limits of their own", () => {
  const { limiter: it } = limiter(1, 1_000);
  it.admit("ada");
  it.admit("bob");
  expect(() => it.admit("ada")).toThrow();
});

test("whoever reserves gets a place of their own, one after the other", () => {
  const { limiter: it } = limiter(2, 1_000);
  expect([it.reserve(""), it.reserve(""), it.reserve(""), it.reserve("")]).toEqual([0, 0, 500, 1_000]);
  expect(() => it.admit("")).toThrow(expect.objectContaining({ retryAfterMs: 1_500 }));
});

test("keys beyond the bound are forgotten, the least asked for first", () => {
  const { limiter: it } = limiter(1, 1_000_000);
  it.admit("first");
  for (let n = 0; n < 10_000; n++) it.admit(`key ${n}`);
  it.admit("first");
  expect(() => it.admit("key 9999")).toThrow();
});
