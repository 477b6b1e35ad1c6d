// A failed run whose worker goes away while it undoes steps: whoever carries it on finds every finished step, wherever it is.
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { History } from "./history.ts";
import { openEngine } from "./open-engine.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";

let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const Nothing = z.object({});
let hangs = false;
const begun = Promise.withResolvers<void>();
let undoing = begun;

const work = procedure({ name: "work", input: Nothing, output: Nothing, handler: () => ({}) });
const left = procedure({ name: "left", input: Nothing, output: Nothing, handler: () => ({}) });
const right = procedure({ name: "right", input: Nothing, output: Nothing, handler: () => ({}) });
const undo = procedure({
  name: "undo",
  input: Nothing,
  output: Nothing,
  handler: async () => {
    if (!hangs) return {};
    undoing.resolve();
    return new Promise<never>(() => {});
  },
});
const refuse = (text: string) => {
  throw new Error(text);
};

const workflows = {
  "in another item than the one that failed": workflow("item")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1],
      (item) =>
        item
          .step(work)
          .compensate(undo)
          .run("check", async ({ index }) => {
            // The other one has finished by then.
            if (index === 0) await new Promise((resolve) => setTimeout(resolve, 50));
            return index === 0 ? refuse("item") : {};
          }),
      { concurrency: 2 },
    ),
  "in items with parallel branches before it": workflow("before")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1],
      (item) => item.parallel([left, right]).step(work).compensate(undo),
      { concurrency: 2 },
    )
    .run("check", () => refuse("before")),
  "in items whose failure was collected": workflow("collected")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1],
      (item) =>
        item
          .step(work)
          .compensate(undo)
          .run("fail", () => refuse("item")),
      {
        onError: "collect",
      },
    )
    .run("check", () => refuse("collected")),
  "in the rounds of what was not over": workflow("rounds")
    .input(Nothing)
    .repeat("again", (round) => round.step(work).compensate(undo), { until: () => false, maxTimes: 2 }),
  "in rounds with parallel branches and pauses": workflow("pauses")
    .input(Nothing)
    .repeat("again", (round) => round.parallel([left, right]).step(work).compensate(undo), {
      until: ({ left: _left, ...rest }: Record<string, unknown>) => (rest as { round: number }).round === 1,
      maxTimes: 2,
      everyMs: 1,
    })
    .run("check", () => refuse("pauses")),
};

test.each(Object.keys(workflows) as (keyof typeof workflows)[])("%s", async (name) => {
  const flow = workflows[name];
  const options = { databaseUrl: postgres.url, leaseMs: 1_000, closeMs: 50, log: silent };
  hangs = true;
  undoing = Promise.withResolvers<void>();
  const first = await openEngine(options);
  const { runId } = await first.start(flow as never, {} as never, { runId: name });
  await undoing.promise;
  await first.close();
  hangs = false;
  const second = await openEngine(options);
  await second.work(createRegistry([flow as never]));
  const types: string[] = [];
  for await (const { type } of second.events(runId)) types.push(type);
  const failed = await second.run(runId);
  await second.close();
  expect(types.filter((type) => type === "step.compensated")).toHaveLength(2);
  expect(types.filter((type) => type === "step.failed")).toHaveLength(name.includes("collected") ? 3 : 1);
  expect(failed?.error?.code).toBe("step_failed");
});

test("what finished at the same time is undone in the reverse of its order in the journal", async () => {
  const flow = workflow("together")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1, 2, 3, 4, 5, 6, 7],
      (item) => item.step(work).compensate(undo),
      { concurrency: 8 },
    )
    .run("check", () => refuse("together"));
  const engine = await openEngine({ databaseUrl: postgres.url, log: silent });
  const { runId } = await engine.start(flow, {});
  const paths: Record<string, string[]> = { "step.finished": [], "step.compensated": [] };
  for await (const event of engine.events(runId)) if ("node" in event) paths[event.type]?.push(event.node);
  await engine.close();
  expect(paths["step.finished"]).toHaveLength(8);
  expect(paths["step.compensated"]).toEqual(paths["step.finished"]!.toReversed());
});

const nap = { ms: 60_000 };
const twoAtOnce = { concurrency: 2 };
const nappingItems = {
  "a list": workflow("napping")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1],
      (item) => item.step(work).compensate(undo).sleep("nap", nap),
      twoAtOnce,
    ),
  "a list of parallel branches": workflow("napping-parallel")
    .input(Nothing)
    .each(
      "items",
      () => [0, 1],
      (item) => item.parallel([left, right]).step(work).compensate(undo).sleep("nap", nap),
      twoAtOnce,
    ),
};

test.each(Object.entries(nappingItems))(
  "a run that was canceled while nobody had it undoes all and ends no process that takes it up inside %s",
  async (_what, napping) => {
    const options = { databaseUrl: postgres.url, leaseMs: 1_000, closeMs: 50, log: silent };
    const first = await openEngine(options);
    const { runId } = await first.start(napping as never, {} as never);
    for await (const { type } of first.events(runId)) if (type === "run.waiting") break;
    await first.close();
    const second = await openEngine(options);
    await second.cancel(runId);
    await second.work(createRegistry([napping as never]));
    const types: string[] = [];
    // An unhandled rejection fails the test.
    for await (const { type } of second.events(runId)) types.push(type);
    await second.close();
    expect(types.filter((type) => type === "step.compensated")).toHaveLength(2);
    expect(types.at(-1)).toBe("run.canceled");
  },
);

test("a run that was given up stays so when the worker that undid it dies too", () => {
  const died = { type: "run.resumed", node: null, data: { died: true } } as const;
  const undone = { type: "step.compensated", node: "work", data: {} } as const;
  const rows = [died, died, died, died, died, died, undone, died].map((row, index) => ({
    ...row,
    seq: index + 2,
    epoch: index + 2,
  }));
  const history = new History(rows as never, workflow("w").input(Nothing).step(work).ir);
  expect(history).toMatchObject({ deaths: 1, gaveUpAfter: 6 });
});
