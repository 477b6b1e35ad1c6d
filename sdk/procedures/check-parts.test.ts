// What the compiler would refuse of a procedure is refused by name where nothing was compiled.
import { expect, test } from "vitest";
import { z } from "zod";
import { z as older } from "zod/v3";
import { procedure } from "./procedure.ts";

const fine = { name: "pay", input: z.object({ n: z.number() }), output: z.object({}), handler: () => ({}) };

test.each([
  ["schemas of Zod 3", { input: older.object({ n: older.number() }) }, "input", "npm install zod@4"],
  ["what is no schema", { output: { n: "number" } }, "output", "z.object"],
  ["no contract at all", { input: undefined }, "input", "z.object"],
  ["no handler", { handler: undefined }, "handler", "function"],
  ["a method in lower case", { http: { method: "get", path: "/pay" } }, "http.method", "GET"],
  ["a path without a slash", { http: { method: "GET", path: "pay" } }, "http.path", "/orders/:id"],
])("%s is refused by name", (_what, part, path, fix) => {
  let refused: unknown;
  try {
    procedure({ ...fine, ...part } as typeof fine);
  } catch (error) {
    refused = error;
  }
  expect(refused).toMatchObject({
    code: "invalid_config",
    path,
    message: expect.stringContaining('procedure "pay"'),
    fix: expect.stringContaining(fix),
  });
});

test("what fits is taken", () => {
  expect(procedure({ ...fine, http: { method: "GET", path: "/pay" } }).name).toBe("pay");
});
