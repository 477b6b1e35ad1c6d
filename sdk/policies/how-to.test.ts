// The how-to page on policies runs as it stands.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("Use policies", async () => {
  expect((await runPage("how-to/use-policies.md")).trim().split("\n")).toEqual([
    "{ price: 4 } after 3 attempts",
    "1 load for a hundred calls",
    "1 answer in the store",
    "unauthenticated",
    "forbidden",
    "refunded",
    "refunded",
    "rate_limited",
    "out_of_stock 409 { left: 3 }",
  ]);
});
