// What numbers look like to people: whole where they are large, and never nothing where there is something.
import { expect, test } from "vitest";
import { number } from "./format.ts";

test("a number has no more digits than matter", () => {
  expect([0, 12_345.6, 12.34, 1.236, 0.5].map(number)).toEqual(["0", "12,346", "12.3", "1.24", "0.5"]);
});

test("a small number is not shown as nothing", () => {
  expect([0.0123, 0.004, 0.000021, -0.004].map(number)).toEqual(["0.012", "0.004", "0.000021", "-0.004"]);
});
