// Statistics: known values.
import { expect, test } from "vitest";
import { median, quantile, ratioInterval } from "./statistics.ts";

test("the median and quantiles interpolate between neighbours", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([0, 10], 0.95)).toBeCloseTo(9.5);
});

test("the interval of four boots is Student's t with three degrees of freedom on the log ratios", () => {
  const { value, low, high } = ratioInterval([0.1, 0.2, 0.3, 0.4].map((x) => -x));
  // mean -0.25, sd 0.1291, half width 3.182 * 0.1291 / 2
  expect(Math.log(value)).toBeCloseTo(-0.25, 6);
  expect(Math.log(high) - Math.log(value)).toBeCloseTo(0.2054, 3);
  expect(Math.log(value) - Math.log(low)).toBeCloseTo(0.2054, 3);
});

test("one boot proves nothing: its interval is open", () => {
  expect(ratioInterval([-1]).high).toBeGreaterThan(1e6);
});

test("an interval that may be looked at twice is wider", () => {
  const boots = [-0.1, -0.2, -0.3, -0.4];
  expect(ratioInterval(boots, "twice").high).toBeGreaterThan(ratioInterval(boots).high);
});
