// The workflow builder at run time: its IR, that it never changes, and what it refuses.
import { expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "./workflow.ts";

const step = <const N extends string, const K extends string>(name: N, key: K) =>
  procedure({
    name,
    input: z.object({ id: z.string() }),
    output: z.object({ [key]: z.string() } as Record<K, z.ZodString>),
    handler: () => ({ [key]: "x" }) as never,
  });
const a = step("a", "fromA");
const b = step("b", "fromB");
const c = step("c", "fromC");
const start = workflow("w").input(z.object({ id: z.string() }));

test("the IR says what the chain says, as frozen JSON", () => {
  const { ir } = start
    .step(a, { as: "first", with: ({ id }) => ({ id }) })
    .withRetry({ maxAttempts: 3, backoff: "exponential" })
    .parallel([b, c])
    .withTimeout({ ms: 50 })
    .run("own", () => ({ x: 1 }));
  expect(JSON.parse(JSON.stringify(ir))).toEqual({
    ir: 1,
    name: "w",
    nodes: [
      {
        op: "step",
        id: "first",
        procedure: "a",
        as: "first",
        mapped: true,
        retry: { maxAttempts: 3, backoff: "exponential" },
      },
      {
        op: "parallel",
        id: "b+c",
        branches: [
          { op: "step", id: "b", procedure: "b" },
          { op: "step", id: "c", procedure: "c" },
        ],
        timeout: { ms: 50 },
      },
      { op: "run", id: "own" },
    ],
  });
  expect(Object.isFrozen(ir.nodes[1])).toBe(true);
});

test("a chain that is gone on with twice is two workflows, and the one before is as it was", () => {
  const base = start.step(a);
  const before = JSON.stringify(base.ir);
  const [left, right] = [base.step(b), base.withRetry({ maxAttempts: 2 }).step(c)];
  expect(JSON.stringify(base.ir)).toBe(before);
  expect(left.ir.nodes.map((node) => node.id)).toEqual(["a", "b"]);
  expect(right.ir.nodes.map((node) => node.id)).toEqual(["a", "c"]);
  expect(new Set([base.version, left.version, right.version]).size).toBe(3);
});

test("`.as` renames the node before it and keeps its policies and code", () => {
  const renamed = start.step(a).withRetry({ maxAttempts: 2 }).as("first");
  expect(renamed.ir.nodes).toEqual([
    { op: "step", id: "first", procedure: "a", retry: { maxAttempts: 2 }, as: "first" },
  ]);
  expect([...renamed.code.keys()]).toEqual(["first"]);
});

test("the version stays while the graph does and changes with it", () => {
  expect(start.step(a).version).toBe(start.step(a).version);
  expect(start.step(a).version).not.toBe(start.step(a).withRetry({ maxAttempts: 2 }).version);
});

test("two nodes with one id are refused also where the compiler was silenced", () => {
  expect(() => start.step(a).step(a as never)).toThrow(/two nodes with the id "a"/);
});

test("a policy with a wrong option fails when the workflow is declared", () => {
  expect(() => start.step(a).withRetry({ maxAttempts: 0 })).toThrow(/withRetry of "a": maxAttempts/);
  expect(() => start.step(a).withTimeout({ ms: -1 })).toThrow(/withTimeout of "a": ms/);
  expect(() => start.step(a).withRetry({ maxAttempts: 2, tries: 3 } as never)).toThrow(/tries/);
});

test("every node knows its line in the chain", () => {
  const line = Number(/:(\d+):\d+/.exec(new Error("x").stack?.split("\n")[1] ?? "")?.[1]);
  const built = start
    .step(a)
    .parallel([b, c])
    .run("own", () => ({}));
  const lines = ["a", "b", "own"].map((id) => (built.code.get(id)?.source?.line ?? 0) - line);
  expect(lines).toEqual([2, 3, 4]);
  expect(built.code.get("a")?.source?.file).toMatch(/workflow\.test\.ts$/);
});

test("a node inside another is among the code, with its line, and its id is taken for the whole workflow", () => {
  const inside = start.when(
    "x",
    () => true,
    (then) =>
      then.each(
        "list",
        () => [1],
        (item) => item.step(a),
      ),
  );
  expect([...inside.code.keys()]).toEqual(["x", "list", "a"]);
  expect(inside.code.get("a")?.source?.file).toMatch(/workflow\.test\.ts$/);
  expect(() => inside.step(a as never)).toThrow('workflow "w" has two nodes with the id "a"');
  expect(() =>
    start.step(a).repeat("r", (round) => round.step(a as never), { until: () => true, maxTimes: 1 }),
  ).toThrow('two nodes with the id "a"');
});

test.each([
  [() => start.sleep("s", { ms: -1 }), '.sleep "s"'],
  [() => start.approve("m", { onTimeout: "reject" } as never), "onTimeout without timeoutMs"],
  [
    () =>
      start.each(
        "e",
        () => [],
        (item) => item,
      ),
    "its body has no node",
  ],
  [
    () =>
      start.each(
        "e",
        () => [],
        (item) => item.step(a),
        { concurency: 2 } as never,
      ),
    'unknown key "concurency"',
  ],
  [() => start.when("x", () => true, (() => start) as never), "must return the chain that it was given"],
  [() => start.repeat("r", (round) => round.step(a), { until: () => true, maxTimes: 0 }), "maxTimes"],
  [() => start.sleep("a/b", { ms: 1 }), "cannot be the id"],
  [() => start.step(undefined as never), "is no procedure"],
  [() => workflow("w", { previous: [workflow("other").input(z.object({}))] }), 'previous names the workflow "other"'],
  [
    () => (start.sleep("s", { ms: 1 }) as never as typeof start & { compensate(p: unknown): void }).compensate(b),
    "must follow a step",
  ],
  [() => start.parallel([a, b]).withCache({ ttlMs: 1, key: (() => "") as never }), "one key cannot serve"],
])("wrong declaration %#: %s", (declare, message) => {
  expect(declare).toThrow(message);
});

test("ten thousand nodes are declared in a time that grows with them", () => {
  const declare = (count: number) => {
    let chain = start.step(a) as { sleep(id: string, options: { ms: number }): typeof chain; ir: typeof start.ir };
    const before = process.cpuUsage();
    for (let index = 0; index < count; index++) chain = chain.sleep(`s${index}`, { ms: 1 });
    expect(chain.ir.nodes).toHaveLength(count + 1);
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  declare(1_000);
  // Ten times the nodes: ten times the work, and a hundred times where each copies those before it.
  expect(declare(10_000) / declare(1_000)).toBeLessThan(50);
});
