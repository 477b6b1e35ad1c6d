// Type tests of the nodes that hold, wait and decide: what they add to the scope, and each misuse. Checked by `tsc`.
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import type { Approval, Collected } from "./definition.ts";
import { event } from "./event.ts";
import type { PairsOf } from "./scope.ts";
import { type Branch, type WorkflowOutput, workflow } from "./workflow.ts";

const Input = z.object({
  orderId: z.string(),
  total: z.number(),
  kind: z.enum(["invoice", "contract"]),
  pages: z.array(z.object({ url: z.string() })),
});
const ocr = procedure({
  name: "ocr",
  input: z.object({ item: z.object({ url: z.string() }) }),
  output: z.object({ text: z.string() }),
  handler: async () => ({ text: "" }),
});
const review = procedure({
  name: "review",
  input: z.object({ total: z.number() }),
  output: z.object({ reviewer: z.string(), score: z.number() }),
  handler: async () => ({ reviewer: "", score: 1 }),
});
const skip = procedure({
  name: "skip",
  input: z.object({ orderId: z.string() }),
  output: z.object({ score: z.string(), skipped: z.boolean() }),
  handler: async () => ({ score: "", skipped: true }),
});
const check = procedure({
  name: "check",
  input: z.object({ orderId: z.string() }),
  output: z.object({ status: z.enum(["ready", "pending"]) }),
  handler: async () => ({ status: "ready" as const }),
});
const charge = procedure({
  name: "charge",
  input: z.object({ total: z.number() }),
  output: z.object({ receipt: z.string() }),
  handler: async () => ({ receipt: "" }),
});
const refund = procedure({
  name: "refund",
  input: z.object({ receipt: z.string() }),
  output: z.void(),
  handler: async () => {},
});
const needsReviewer = procedure({
  name: "needsReviewer",
  input: z.object({ reviewer: z.string() }),
  output: z.object({ thanked: z.boolean() }),
  handler: async () => ({ thanked: true }),
});
const paid = event({
  name: "paid",
  payload: z.object({ orderId: z.string(), amount: z.number() }),
  key: ({ orderId }) => orderId,
});
const opened = event({ name: "opened", payload: z.object({ at: z.string() }) });
const start = workflow("w").input(Input);

// `.when`: a key of both branches has either type, one of a single branch may be undefined.
const decided = start.when(
  "is-large",
  ({ total }) => total > 100,
  (then) => then.step(review),
  (otherwise) => otherwise.step(skip),
);
type Decided = WorkflowOutput<typeof decided>;
expectTypeOf<Decided["reviewer"]>().toEqualTypeOf<string | undefined>();
expectTypeOf<Decided["score"]>().toEqualTypeOf<number | string>();
expectTypeOf<Decided["skipped"]>().toEqualTypeOf<boolean | undefined>();
expectTypeOf<Decided["orderId"]>().toEqualTypeOf<string>();
const alone = start.when(
  "is-large",
  ({ total }) => total > 100,
  (then) => then.step(review).withRetry({ maxAttempts: 2 }),
);
expectTypeOf<WorkflowOutput<typeof alone>["score"]>().toEqualTypeOf<number | undefined>();
// @ts-expect-error 'reviewer' may be undefined after the branch
alone.step(needsReviewer);
// @ts-expect-error 'review' is already the id of a node, in a branch
alone.step(review);
start.when(
  "is-large",
  ({ total }) => total > 100,
  (then) => then.step(review),
  // @ts-expect-error 'review' is already the id of a node in the branch beside it
  (otherwise) => otherwise.step(review),
);
start.when(
  "is-large",
  ({ total }) => total > 100,
  // @ts-expect-error a branch returns its chain, not another workflow
  () => start.step(review),
);
const yes = () => true;
// biome-ignore format: the error is on the line below its comment
// @ts-expect-error the scope has no 'size'
start.when("x", ({ size }) => size > 1, (then) => then.step(review));
// @ts-expect-error a modifier needs a node before it
start.when("x", yes, (then) => then.withRetry({ maxAttempts: 2 }));

// `.match`
const matched = start.match("kind-of", ({ kind }) => kind, {
  invoice: (branch) => branch.step(review),
  contract: (branch) => branch.step(skip).step(check),
});
type Matched = WorkflowOutput<typeof matched>;
expectTypeOf<Matched["score"]>().toEqualTypeOf<number | string>();
expectTypeOf<Matched["status"]>().toEqualTypeOf<"ready" | "pending" | undefined>();
const others = start.match(
  "kind-of",
  ({ kind }) => kind,
  { invoice: (branch) => branch.step(review) },
  (otherwise) => otherwise.run("none", () => ({ score: "none" })),
);
expectTypeOf<WorkflowOutput<typeof others>["score"]>().toEqualTypeOf<number | string>();
const open = start.match(
  "order",
  ({ orderId }) => orderId,
  { o1: (branch) => branch.step(review) },
  (otherwise) => otherwise,
);
expectTypeOf<WorkflowOutput<typeof open>["score"]>().toEqualTypeOf<number | undefined>();
const invoice = { invoice: (branch: Branch<PairsOf<z.output<typeof Input>>, "k">) => branch.step(review) };
// @ts-expect-error the value may be 'contract', which has no case
start.match("k", ({ kind }) => kind, invoice);
// @ts-expect-error the value may be any text
start.match("k", ({ orderId }) => orderId, invoice);
// biome-ignore format: the error is on the line below its comment
// @ts-expect-error the value is never 'letter'
start.match("k", ({ kind }) => kind, { ...invoice, letter: (b) => b.step(check) }, (b) => b);
// @ts-expect-error 'review' is the id of nodes in two cases
start.match("k", ({ kind }) => kind, { ...invoice, contract: (b) => b.step(review) });
// biome-ignore format: the error is on the line below its comment
// @ts-expect-error 'review' is already the id of a node in a case
start.match("k", ({ kind }) => kind, invoice, (otherwise) => otherwise.step(review));
start.match("large", ({ total }) => total > 5, { true: (branch) => branch.step(review), false: (branch) => branch });

// `.each`
const listed = start.each(
  "texts",
  ({ pages }) => pages,
  (item) =>
    item.step(ocr).run("measure", ({ text, index, item, orderId }) => {
      expectTypeOf(index).toEqualTypeOf<number>();
      expectTypeOf(item).toEqualTypeOf<{ url: string }>();
      return { length: text.length + orderId.length };
    }),
  { concurrency: 4 },
);
expectTypeOf<WorkflowOutput<typeof listed>["texts"]>().toEqualTypeOf<{ text: string; length: number }[]>();
const collected = start.each(
  "texts",
  ({ pages }) => pages,
  (item) => item.step(ocr),
  { onError: "collect" },
);
expectTypeOf<WorkflowOutput<typeof collected>["texts"]>().toEqualTypeOf<Collected<{ text: string }>[]>();
// An inner item stands before the outer one.
const nested = start.each(
  "outer",
  ({ pages }) => pages,
  (outer) =>
    outer.each(
      "inner",
      ({ item }) => [...item.url],
      (inner) => inner.run("letter", ({ item }) => ({ letter: item })),
    ),
);
expectTypeOf<WorkflowOutput<typeof nested>["outer"]>().toEqualTypeOf<{ inner: { letter: string }[] }[]>();
// @ts-expect-error the scope after it has no 'text': it is in the list
listed.run("x", ({ text }) => ({ y: text }));
const texts = start.run("x", () => ({ texts: 1 }));
const one = () => [1];
// @ts-expect-error 'texts' is in the scope already
texts.each("texts", one, (item) => item.run("y", () => ({ z: 1 })));
const number = () => 1;
// @ts-expect-error the items are no list
start.each("texts", number, (item) => item.run("y", yes));
const text = () => "abc";
// @ts-expect-error the items are a text
start.each("letters", text, (item) => item.run("y", () => ({ z: 1 })));
// biome-ignore format: the error is on the line below its comment
// @ts-expect-error the same inside another node
start.when("x", () => true, (then) => then.each("letters", ({ orderId }) => orderId, (item) => item.run("y", () => ({ z: 1 }))));
// biome-ignore format: its letters are a list
start.each("letters", ({ orderId }) => [...orderId], (item) => item.run("y", ({ item }) => ({ z: item.length })));
start.each(
  "set",
  ({ orderId }) => new Set([orderId]),
  (item) => item.run("y", ({ item }) => ({ z: item.length })),
);
// @ts-expect-error step 'ocr' reads 'item', which is of another type
start.each("texts", one, (item) => item.step(ocr));
// @ts-expect-error no such handling of errors
start.each("texts", one, (item) => item.run("y", yes), { onError: "ignore" });

// `.repeat`
const polled = start.repeat(
  "poll",
  (round) =>
    round.step(check).run("note", ({ round }) => {
      expectTypeOf(round).toEqualTypeOf<number>();
      return { note: String(round) };
    }),
  {
    until: ({ status, note, orderId }) => status === "ready" || note === orderId,
    maxTimes: 10,
    everyMs: 500,
  },
);
expectTypeOf<WorkflowOutput<typeof polled>["status"]>().toEqualTypeOf<"ready" | "pending">();
// @ts-expect-error the scope at the end of a round has no 'state'
start.repeat("poll", (round) => round.step(check), { until: ({ state }) => state, maxTimes: 3 });
// @ts-expect-error there is no limit
start.repeat("poll", (round) => round.step(check), { until: () => true });
// @ts-expect-error 'round' is not in the scope after it
polled.run("x", ({ round }) => ({ y: round }));

// `.sleep`
start.sleep("cool-off", { ms: 1_000 }).sleep("until-due", { until: ({ total }) => new Date(total) });
// @ts-expect-error a date
start.sleep("until-due", { until: ({ total }) => total });
// @ts-expect-error either
start.sleep("until-due", {});
// @ts-expect-error nothing to retry in a sleep
start.sleep("cool-off", { ms: 1 }).withRetry({ maxAttempts: 2 });

// `.waitFor`
const waited = start
  .waitFor("payment", paid, { key: ({ orderId }) => orderId, timeoutMs: 1_000, onTimeout: "continue" })
  .waitFor("second", opened);
type Waited = WorkflowOutput<typeof waited>;
expectTypeOf<Waited["payment"]>().toEqualTypeOf<{ orderId: string; amount: number } | undefined>();
expectTypeOf<Waited["second"]>().toEqualTypeOf<{ at: string }>();
expectTypeOf<WorkflowOutput<ReturnType<typeof limited>>["payment"]>().toEqualTypeOf<{
  orderId: string;
  amount: number;
}>();
const limited = () => start.waitFor("payment", paid, { key: ({ orderId }) => orderId, timeoutMs: 1_000 });
// @ts-expect-error the event has a key
start.waitFor("payment", paid);
// @ts-expect-error the event has a key, and the limit is no key
start.waitFor("payment", paid, { timeoutMs: 1_000 });
// @ts-expect-error the event has no key
start.waitFor("opening", opened, { key: ({ orderId }) => orderId });
start.waitFor("opening", opened, { timeoutMs: 5, onTimeout: "continue" });
// @ts-expect-error the same inside another node
start.when("x", yes, (then) => then.waitFor("payment", paid));
// @ts-expect-error what happens on a timeout that never comes
start.waitFor("opening", opened, { onTimeout: "continue" });
// @ts-expect-error the key is a text
start.waitFor("payment", paid, { key: ({ total }) => total });
// @ts-expect-error 'total' is in the scope already
start.waitFor("total", opened);
// @ts-expect-error no event
start.waitFor("payment", review);
// @ts-expect-error nothing to nest: the id is the key
start.waitFor("opening", opened).as("x");

// `.approve`
const approved = start.approve("manager", { timeoutMs: 1_000, onTimeout: "reject", onReject: "continue" });
expectTypeOf<WorkflowOutput<typeof approved>["manager"]>().toEqualTypeOf<Approval>();
// @ts-expect-error a rejection by a timeout that never comes
start.approve("manager", { onTimeout: "reject" });
// @ts-expect-error nothing to cache
start.approve("manager").withCache({ ttlMs: 1 });

// `.call`
const child = workflow("child")
  .input(z.object({ total: z.number() }))
  .step(review);
const called = start
  .call(child)
  .call(child, { as: "again", with: ({ child }) => ({ total: child.score }) })
  .call(child, { with: () => ({ total: 1 }), as: "second" })
  .as("third");
type Called = WorkflowOutput<typeof called>;
expectTypeOf<Called["child"]>().toEqualTypeOf<{ total: number; reviewer: string; score: number }>();
expectTypeOf<Called["again"]["score"]>().toEqualTypeOf<number>();
expectTypeOf<Called["third"]["reviewer"]>().toEqualTypeOf<string>();
const otherChild = workflow("other-child")
  .input(z.object({ missing: z.string() }))
  .step(refund, { with: () => ({ receipt: "" }) });
// @ts-expect-error workflow 'other-child' needs 'missing'
start.call(otherChild);
// @ts-expect-error what `with` returns does not fit
start.call(child, { with: ({ orderId }) => ({ total: orderId }) });
// @ts-expect-error 'child' is already the id of a node
start.call(child).call(child);

// `.compensate`
start.step(charge).withTimeout({ ms: 5 }).compensate(refund).withRetry({ maxAttempts: 2 }).step(review);
start.step(charge).compensate(refund, { with: ({ receipt, orderId }) => ({ receipt: receipt + orderId }) });
// @ts-expect-error compensation 'needsReviewer' needs 'reviewer'
start.step(charge).compensate(needsReviewer);
// @ts-expect-error what `with` returns does not fit
start.step(charge).compensate(refund, { with: ({ total }) => ({ receipt: total }) });
// @ts-expect-error only a step is compensated
start.parallel([charge, review]).compensate(refund);
// @ts-expect-error only a step is compensated
start.run("x", () => ({})).compensate(refund);

// Keys of policies see the input, as the contract makes it; of a run, the scope.
start
  .step(charge)
  .withCache({
    ttlMs: 10,
    staleMs: 5,
    key: ({ total }) => {
      expectTypeOf(total).toEqualTypeOf<number>();
      return String(total);
    },
  })
  .withRateLimit({ limit: 2, perMs: 10, key: (input) => String(input.total) })
  .withCircuitBreaker({ failures: 3, openMs: 10 });
start.run("x", () => ({})).withCache({ ttlMs: 5, key: ({ orderId }) => orderId });
start.parallel([charge, review]).withCache({ ttlMs: 5 }).withRateLimit({ limit: 1, perMs: 1 });
// @ts-expect-error the branches have different inputs, so one key cannot serve
start.parallel([charge, review]).withCache({ ttlMs: 5, key: () => "" });
// @ts-expect-error the input has no 'orderId'
start.step(charge).withCache({ ttlMs: 5, key: ({ orderId }) => orderId });

// `concurrency`: the key sees the input; where its parameter has a type, the input must fit it.
workflow("keyed", { concurrency: { limit: 2, key: (input) => input.orderId }, previous: [start] }).input(Input);
workflow("keyed", { concurrency: { limit: 2, key: (input: { orderId: string }) => input.orderId } }).input(Input);
// @ts-expect-error the key reads what the input does not have
workflow("keyed", { concurrency: { limit: 2, key: (input: { customer: string }) => input.customer } }).input(Input);
// @ts-expect-error a limit is a number
workflow("keyed", { concurrency: { limit: "2" } });
