// Canonical JSON and its digest.
import { expect, test } from "vitest";
import { canonicalJson, digest } from "./digest.ts";

test("equal values have one digest, whatever the order of their keys and whether undefined is spelled out", () => {
  expect(digest({ a: 1, b: { c: [1, 2], d: undefined } })).toBe(digest({ b: { c: [1, 2] }, a: 1 }));
  expect(digest([1, 2])).not.toBe(digest([2, 1]));
  expect(digest({ a: 1 })).not.toBe(digest({ a: "1" }));
});

test("what JSON cannot say is told apart and never throws", () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const values = [1n, new Date(1), new Date(2), new Map([[1, 2]]), new Set([1]), circle, null];
  expect(new Set(values.map(canonicalJson)).size).toBe(values.length);
});
