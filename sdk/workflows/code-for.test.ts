// Code for runs that began with an earlier graph: where it comes from, and when there is none.
import { expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { canServe, codeFor } from "./code-for.ts";
import { event } from "./event.ts";
import { workflow } from "./workflow.ts";

const empty = z.object({});
const declare = <const N extends string>(name: N) =>
  procedure({ name, input: empty, output: empty, handler: () => ({}) });
const [a, b, undo] = [declare("a"), declare("b"), declare("undo")];
const paid = event({ name: "paid", payload: empty });
const start = (previous: Parameters<typeof workflow>[1] = {}) => workflow("w", previous).input(empty);
const procedures = new Map([a, b, undo].map((one) => [one.name, one]));

test("the definition with exactly this graph is asked first, then the newest that has the node", () => {
  const old = start()
    .step(a)
    .run("own", () => ({}))
    .step(b);
  const now = start({ previous: [old] })
    .step(a)
    .run("own", () => ({}));
  expect(codeFor(now, old.ir)).toBe(old.code);
  expect(codeFor(now, now.ir)).toBe(now.code);
  const other = start()
    .step(b)
    .run("own", () => ({}));
  const code = codeFor(now, other.ir);
  expect(code?.get("own")).toBe(now.code.get("own"));
  expect(code?.get("b")).toBe(old.code.get("b"));
});

test("definitions before the one before are found too", () => {
  const first = start().run("first", () => ({}));
  const second = start({ previous: [first] }).step(a);
  expect(codeFor(start({ previous: [second] }).step(b), first.ir)).toBe(first.code);
});

test("a step without functions is served by the procedure of its name, also with its undoing", () => {
  const gone = start()
    .step(a, { as: "x" })
    .withRetry({ maxAttempts: 2 })
    .compensate(undo)
    .parallel([b, undo])
    .sleep("s", { ms: 1 });
  const now = start().step(b);
  expect(canServe(now, gone.ir)).toBe(false);
  const code = codeFor(now, gone.ir, procedures);
  expect(code?.get("x")).toMatchObject({ procedure: { name: "a" }, compensate: { procedure: { name: "undo" } } });
});

test.each([
  ["a function of `with`", start().step(a, { with: () => ({}) })],
  [
    "a key of a cache",
    start()
      .step(a)
      .withCache({ ttlMs: 1, key: () => "k" }),
  ],
  [
    "a function of an undoing",
    start()
      .step(a)
      .compensate(undo, { with: () => ({}) }),
  ],
  [
    "a condition",
    start().when(
      "x",
      () => true,
      (then) => then.step(a),
    ),
  ],
  ["code", start().run("x", () => ({}))],
  ["an event", start().waitFor("x", paid)],
  ["a date", start().sleep("x", { until: () => new Date() })],
])("%s is served by no procedure", (_what, gone) => {
  expect(codeFor(start().step(b), gone.ir, procedures)).toBeUndefined();
});

test("a node of the same id that does something else does not serve", () => {
  const gone = start().each(
    "x",
    () => [1],
    (item) => item.step(a),
  );
  expect(
    canServe(
      start().when(
        "x",
        () => true,
        (then) => then.step(a),
      ),
      gone.ir,
      procedures,
    ),
  ).toBe(false);
  expect(canServe(start().step(b, { as: "x" }), start().step(a, { as: "x" }).ir)).toBe(false);
});
