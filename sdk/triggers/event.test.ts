// Event triggers: which of them an event leads to a run by, and that one that throws keeps none from theirs.
import { expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { beginRun } from "./begin-run.ts";
import { BegunRuns } from "./begun-runs.fixture.ts";
import { matchEvent, matchEvents } from "./match-event.ts";
import { type OnEventParts, onEvent } from "./on-event.ts";

const paid = event({ name: "paid", payload: z.object({ orderId: z.string(), amount: z.coerce.number() }) });
const refunded = event({ name: "refunded", payload: z.object({ orderId: z.string() }) });
const review = procedure({
  name: "review",
  input: z.object({ orderId: z.string() }),
  output: z.object({ reviewed: z.boolean() }),
  handler: () => ({ reviewed: true }),
});
const reviewing = workflow("reviewing")
  .input(z.object({ orderId: z.string() }))
  .step(review);

const on = (name: string, more: Partial<OnEventParts<AnyWorkflow, typeof paid>> = {}) =>
  onEvent({ name, event: paid, workflow: reviewing, input: ({ orderId }) => ({ orderId }), ...more });

test("the filter sees the payload as its contract makes it", async () => {
  const large = on("large", { filter: ({ amount }) => amount > 100 });
  expect(await matchEvent(large, { orderId: "o1", amount: "200" })).toEqual({ input: { orderId: "o1" } });
  expect(await matchEvent(large, { orderId: "o1", amount: "99" })).toBeUndefined();
  await expect(matchEvent(large, { amount: 1 })).rejects.toMatchObject({ code: "invalid_input", path: "orderId" });
});

test("of all triggers those of the event start, each its own run, also when one throws or the event comes again", async () => {
  const lines: unknown[] = [];
  const note = (_: string, fields?: object) => void lines.push(fields);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const broken = () => {
    throw new Error("no such column");
  };
  const triggers = [
    on("broken-filter", { filter: broken }),
    on("broken-input", { input: broken }),
    on("all"),
    on("none", { filter: () => false }),
    onEvent({ name: "other", event: refunded, workflow: reviewing, input: ({ orderId }) => ({ orderId }) }),
    on("large", { filter: ({ amount }) => amount > 100 }),
  ];
  const begun = new BegunRuns();
  for (let time = 0; time < 2; time++) {
    const matches = await matchEvents(triggers, paid, { orderId: "o1", amount: 200 }, log);
    for (const { trigger, input } of matches) await beginRun(begun.engine(), trigger, "evt-7", input);
  }
  expect([...begun.runs.values()]).toMatchObject([
    { runId: "event:all:evt-7", origin: { kind: "event", name: "all", id: "evt-7" }, starts: 2 },
    { runId: "event:large:evt-7", input: { orderId: "o1" } },
  ]);
  expect(lines.slice(0, 2)).toMatchObject([
    { trigger: "broken-filter", event: "paid", error: { cause: { message: "no such column" } } },
    { trigger: "broken-input", event: "paid", error: { cause: { message: "no such column" } } },
  ]);
});

test("a name that cannot be part of a run's id is refused, and so is a trigger whose workflow is not there yet", () => {
  expect(() => on("a:b")).toThrow(/a trigger cannot have the name "a:b"/);
  expect(() => on("early", { workflow: undefined as never })).toThrow(
    /trigger "early" is declared before its workflow is there: their files import each other/,
  );
});
