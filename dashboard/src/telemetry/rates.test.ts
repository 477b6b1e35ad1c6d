// Rates: the unit follows the size, and a rare error is not rounded away.
import { expect, test } from "vitest";
import { errorShare, rate } from "./rates.ts";

test("a rate is told in the unit that gives a number one can read", () => {
  expect(rate(0, 60)).toBe("0/s");
  expect(rate(6000, 60)).toBe("100/s");
  expect(rate(10, 60)).toBe("10/min");
  expect(rate(2, 3600)).toBe("2/h");
});

test("a rare error is not rounded to none", () => {
  expect(errorShare(0, 10)).toBe("0 %");
  expect(errorShare(1, 1_000_000)).toBe("< 0.01 %");
  expect(errorShare(1, 8)).toBe("12.5 %");
});
