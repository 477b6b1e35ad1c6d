// Distributions by numbers worked out by hand: quantiles, merges across scales, what was added, a new beginning.
import { expect, test } from "vitest";
import { addedSince, bucketsOf, type ExponentialDistribution, quantileOf, sumOf } from "./distribution.ts";

const explicit = (bounds: number[], counts: number[]) => ({ kind: "explicit", bounds, counts }) as const;
const exponential = (scale: number, positive: [number, number][], zero = 0): ExponentialDistribution => ({
  kind: "exponential",
  scale,
  zero,
  positive: new Map(positive),
  negative: new Map(),
});

test("a quantile lies straight between the bounds of its bucket", () => {
  // 10 up to 1, 10 up to 2: the median is at 1, three quarters at 1.5; nothing is known above the last bound.
  const one = explicit([1, 2], [10, 10, 0]);
  expect(quantileOf(one, 0.5)).toBe(1);
  expect(quantileOf(one, 0.75)).toBe(1.5);
  expect(quantileOf(explicit([1, 2], [0, 0, 5]), 0.99)).toBe(2);
  expect(quantileOf(explicit([1], [0, 0]), 0.5)).toBeNull();
});

test("exponential histograms of different scales are merged exactly into the wider buckets", () => {
  // Scale 1 has the bounds 2^(i/2): indexes 0 and 1 are (1, 1.41] and (1.41, 2], -1 is (0.71, 1]; at scale 0: (1, 2], (0.5, 1].
  const merged = sumOf(
    exponential(1, [
      [-1, 1],
      [0, 2],
      [1, 3],
    ]),
    exponential(0, [[0, 4]], 5),
  )!;
  expect(bucketsOf(merged)).toEqual([
    { from: 0, to: 0, count: 5 },
    { from: 0.5, to: 1, count: 1 },
    { from: 1, to: 2, count: 9 },
  ]);
  expect(quantileOf(merged, 0.3)).toBe(0);
  // Of 15, the one at 10.5 is the 4.5th of the 9 in (1, 2]: half way by factors.
  expect(quantileOf(merged, 10.5 / 15)).toBeCloseTo(Math.SQRT2, 10);
});

test("what was added spans a change of scale, and a count that fell means that it began anew", () => {
  const added = addedSince(exponential(1, [[0, 2]]), exponential(0, [[0, 5]]))!;
  expect(bucketsOf(added)).toEqual([{ from: 1, to: 2, count: 3 }]);
  expect(addedSince(explicit([1], [3, 1]), explicit([1], [2, 9]))).toBeNull();
  expect(addedSince(explicit([1], [3, 1]), explicit([2], [9, 9]))).toBeNull();
});

test("a heat map has no more buckets than were asked for, and loses no count", () => {
  const many = exponential(
    5,
    Array.from({ length: 160 }, (_, index): [number, number] => [index, 1]),
  );
  const buckets = bucketsOf(many, 40);
  expect(buckets.length).toBeLessThanOrEqual(40);
  expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(160);
});
