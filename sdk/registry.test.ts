// The registry takes what it is given and what that refers to, in the order of names, and says which two are in each other's way.
import { expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "./procedures/procedure.ts";
import { createRegistry, isDeclaration } from "./registry.ts";
import { cron } from "./triggers/cron.ts";
import type { AnyWorkflow } from "./workflows/definition.ts";
import { workflow } from "./workflows/workflow.ts";

const step = (name: string) => procedure({ name, input: z.object({}), output: z.object({}), handler: () => ({}) });
const flow = (name: string, used: ReturnType<typeof step>, previous: AnyWorkflow[] = []) =>
  workflow(name, { previous }).input(z.object({})).step(used);
const names = (map: ReadonlyMap<string, unknown>) => [...map.keys()];

test("what a trigger and its workflow refer to is there, in the order of names", () => {
  const nightly = cron({ name: "nightly", schedule: "@daily", workflow: flow("w", step("b")), input: () => ({}) });
  const registry = createRegistry([nightly, step("c"), step("a")]);
  expect([names(registry.procedures), names(registry.workflows), names(registry.triggers)]).toEqual([
    ["a", "b", "c"],
    ["w"],
    ["nightly"],
  ]);
});

test("the same declaration twice is one; another of its name is an error with both lines", () => {
  const one = step("same");
  expect(names(createRegistry([one, one, flow("w", one)]).procedures)).toEqual(["same"]);
  const two = procedure({ name: "same", input: z.object({}), output: z.object({}), handler: () => ({}) });
  expect(() => createRegistry([one, flow("w", two)])).toThrow(
    /^two procedures have the name "same": sdk\/registry\.test\.ts:\d+ and sdk\/registry\.test\.ts:\d+, which workflow "w" uses$/,
  );
});

test("one that was made twice at one place is told as that", () => {
  expect(() => createRegistry([step("x"), step("x")])).toThrow(
    /the procedure "x" was made twice at sdk\/registry\.test\.ts:\d+: its file was loaded twice, or a function there makes it/,
  );
});

test("an earlier definition does not count beside the one that names it, whichever comes first", () => {
  const older = flow("w", step("a"));
  const middle = flow("w", step("a"), [older]);
  const now = flow("w", step("b"), [middle]);
  for (const list of [
    [older, now, middle],
    [now, middle, older],
    [middle, older, now],
  ]) {
    const registry = createRegistry(list);
    expect(registry.workflows.get("w")).toBe(now);
    expect(names(registry.procedures)).toEqual(["b"]);
  }
});

test("what is no declaration is refused with its place in the list", () => {
  const list = [step("a"), undefined] as never[];
  expect(() => createRegistry(list)).toThrow(/item 1 given to createRegistry is undefined/);
  expect(() => createRegistry([workflow("w")] as never[])).toThrow(
    /item 0 given to createRegistry is a value of type object/,
  );
  expect(isDeclaration({ kind: "event", name: "click" })).toBe(false);
});
