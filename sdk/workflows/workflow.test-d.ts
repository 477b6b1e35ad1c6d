// Type tests of the workflow builder: what it infers, and each misuse that must not compile. Checked by `tsc`.
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { type InputOf, type OutputOf, procedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "./definition.ts";
import { type WorkflowInput, type WorkflowOutput, workflow } from "./workflow.ts";

const Input = z.object({ orderId: z.string() });
const validate = procedure({
  name: "validate",
  input: z.object({ orderId: z.string() }),
  output: z.object({ email: z.email(), total: z.number() }),
  handler: async () => ({ email: "a@b.c", total: 1 }),
});
const charge = procedure({
  name: "charge",
  input: z.object({ total: z.number(), currency: z.string().default("EUR") }),
  output: z.object({ receipt: z.string() }),
  handler: async ({ total, currency }, ctx) => {
    expectTypeOf(total).toEqualTypeOf<number>();
    expectTypeOf(currency).toEqualTypeOf<string>();
    expectTypeOf(ctx.idempotencyKey).toEqualTypeOf<string>();
    return { receipt: "r" };
  },
});
const mail = procedure({
  name: "mail",
  input: z.object({ email: z.string() }),
  output: z.object({ mailed: z.boolean() }),
  handler: async () => ({ mailed: true }),
});
const count = procedure({
  name: "count",
  input: z.object({ orderId: z.string() }),
  output: z.object({ counted: z.number() }),
  handler: async () => ({ counted: 1 }),
});
const mailAgain = procedure({
  name: "mailAgain",
  input: z.object({ email: z.string() }),
  output: z.object({ mailed: z.boolean() }),
  handler: async () => ({ mailed: true }),
});
const numericOrder = procedure({
  name: "numericOrder",
  input: z.object({ orderId: z.number() }),
  output: z.object({}),
  handler: async () => ({}),
});
const plain = procedure({
  name: "plain",
  input: z.string(),
  output: z.object({ length: z.number() }),
  handler: async (text) => ({ length: text.length }),
});
const nothing = procedure({
  name: "nothing",
  input: z.object({}),
  output: z.void(),
  handler: async () => {},
});

expectTypeOf<InputOf<typeof charge>>().toEqualTypeOf<{ total: number; currency?: string | undefined }>();
expectTypeOf<OutputOf<typeof charge>>().toEqualTypeOf<{ receipt: string }>();

// The scope grows by what each node writes; defaults need not be in it.
const order = workflow("order")
  .input(Input)
  .step(validate)
  .withRetry({ maxAttempts: 3, backoff: "exponential" })
  .step(charge)
  .withTimeout({ ms: 1_000 })
  .parallel([mail, count])
  .withRetry({ maxAttempts: 2 })
  .step(nothing)
  .run("summarise", async (scope, ctx) => {
    expectTypeOf(scope.receipt).toEqualTypeOf<string>();
    expectTypeOf(ctx.attempt).toEqualTypeOf<number>();
    return { summary: `${scope.orderId} ${scope.counted}` };
  });
expectTypeOf<WorkflowInput<typeof order>>().toEqualTypeOf<{ orderId: string }>();
expectTypeOf<WorkflowOutput<typeof order>>().toEqualTypeOf<{
  orderId: string;
  email: string;
  total: number;
  receipt: string;
  mailed: boolean;
  counted: number;
  summary: string;
}>();

// `as` nests and names, as an option or as a modifier; `with` maps.
const nested = workflow("nested")
  .input(Input)
  .step(validate, { as: "order" })
  .step(charge, { as: "first", with: ({ order }) => ({ total: order.total }) })
  .step(charge, { with: (scope) => ({ total: scope.first.receipt.length, currency: "USD" }) })
  .as("second")
  .withRetry({ maxAttempts: 2 })
  .step(plain, { with: ({ orderId }) => orderId });
expectTypeOf<WorkflowOutput<typeof nested>>().toEqualTypeOf<{
  orderId: string;
  order: { email: string; total: number };
  first: { receipt: string };
  second: { receipt: string };
  length: number;
}>();

const start = workflow("misuse").input(Input);
// @ts-expect-error step 'mail' needs 'email', which neither the input nor an earlier step provides
start.step(mail);
// @ts-expect-error step 'numericOrder' reads 'orderId', which the scope holds as another type
start.step(numericOrder);
// @ts-expect-error 'validate' is already the id of a node
start.step(validate).step(validate);
// @ts-expect-error step 'mailAgain' writes 'mailed', which the scope already has
start.step(validate).step(mail).step(mailAgain);
// @ts-expect-error two parallel branches write 'mailed'
start.step(validate).parallel([mail, mailAgain]);
// @ts-expect-error step 'mail' needs 'email': a branch cannot read what its sibling writes
start.parallel([validate, mail]);
// @ts-expect-error one branch is not parallel
start.step(validate).parallel([mail]);
// @ts-expect-error step 'plain' takes an input that is not an object
start.step(plain);
// @ts-expect-error a modifier needs a node before it
start.withRetry({ maxAttempts: 3 });
// @ts-expect-error a modifier needs a node before it
start.as("x");
// @ts-expect-error a parallel node has no single output to nest
start.step(validate).parallel([mail, count]).as("both");
// @ts-expect-error no such backoff
start.step(validate).withRetry({ maxAttempts: 3, backoff: "linear" });
// @ts-expect-error what `with` returns does not fit the input
start.step(validate).step(charge, { with: ({ email }) => ({ total: email }) });
// @ts-expect-error 'orderId' is in the scope already
start.step(validate, { as: "orderId" });
// @ts-expect-error 'orderId' is in the scope already
start.step(validate).as("orderId");
// @ts-expect-error the function writes 'orderId', which the scope already has
start.run("again", async () => ({ orderId: "x" }));
// @ts-expect-error the input of a workflow is an object
workflow("text").input(z.string());

// An output without keys is named with `.as`, or nothing can follow it.
const size = procedure({
  name: "size",
  input: z.object({ orderId: z.string() }),
  output: z.number(),
  handler: async () => 1,
});
const sized = start
  .step(size)
  .withRetry({ maxAttempts: 2 })
  .as("size")
  .step(validate)
  .step(size, { as: "again" })
  .run("text", () => "abc")
  .as("text")
  .run("nothing", () => {})
  .run("perhaps", ({ size }) => (size > 1 ? { large: true } : undefined))
  .run("list", () => [1])
  .withTimeout({ ms: 5 })
  .as("list");
expectTypeOf<WorkflowOutput<typeof sized>["size"]>().toEqualTypeOf<number>();
expectTypeOf<WorkflowOutput<typeof sized>["again"]>().toEqualTypeOf<number>();
expectTypeOf<WorkflowOutput<typeof sized>["text"]>().toEqualTypeOf<string>();
expectTypeOf<WorkflowOutput<typeof sized>["list"]>().toEqualTypeOf<number[]>();
// @ts-expect-error the output of 'size' is no object
start.step(size).step(validate);
// @ts-expect-error a number
start.run("x", () => 5).step(validate);
// @ts-expect-error a list
start.run("x", async () => [1]).sleep("s", { ms: 1 });
// @ts-expect-error a date
start.run("x", () => new Date()).approve("manager");
// @ts-expect-error a map
start.run("x", () => new Map<string, number>()).step(validate);
// @ts-expect-error bytes
start.run("x", () => Buffer.from("x")).step(validate);
// @ts-expect-error a text sometimes
start.run("x", ({ orderId }) => (orderId === "" ? "none" : { found: true })).step(validate);
// @ts-expect-error the name is taken
start.step(size).as("orderId");
// @ts-expect-error a branch adds keys
start.parallel([validate, size]);
const yes = () => true;
// @ts-expect-error inside a branch, at its end
start.when("w", yes, (then) => then.step(size));
// @ts-expect-error inside a case, at its end
start.match("m", yes, { true: (q) => q.run("x", () => 5), false: (q) => q });
const ones = () => [1];
// @ts-expect-error inside a body, at its end
start.each("e", ones, (item) => item.step(size));
// @ts-expect-error inside a body, at its end
start.repeat("r", (round) => round.step(size), { until: yes, maxTimes: 2 });
// @ts-expect-error a workflow ends with a chain
start.run("x", () => 5) satisfies AnyWorkflow;
