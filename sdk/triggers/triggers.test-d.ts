// Type tests of the triggers: what `input` gets and must give, and each misuse that must not compile. Checked by `tsc`.
import { expectTypeOf } from "vitest";
import { z } from "zod";
import type { Engine } from "../engine/engine.ts";
import { procedure } from "../procedures/procedure.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { cron } from "./cron.ts";
import { enqueue } from "./enqueue.ts";
import { none } from "./none.ts";
import { onEvent } from "./on-event.ts";
import { queue } from "./queue.ts";
import { webhook } from "./webhook.ts";

const ship = procedure({
  name: "ship",
  input: z.object({ orderId: z.string() }),
  output: z.object({ shipped: z.boolean() }),
  handler: async () => ({ shipped: true }),
});
const shipping = workflow("shipping")
  .input(z.object({ orderId: z.string(), express: z.boolean().default(false) }))
  .step(ship);
const paid = event({ name: "paid", payload: z.object({ id: z.coerce.string(), amount: z.number() }) });
const Message = z.object({ id: z.string().transform(Number) });
declare const engine: Engine;

// What fits: a key with a default may be left out.
cron({
  name: "c",
  schedule: "@daily",
  workflow: shipping,
  input: (at) => {
    expectTypeOf(at).toEqualTypeOf<Date>();
    return { orderId: at.toISOString() };
  },
});
webhook({
  name: "w",
  verify: none(),
  payload: Message,
  workflow: shipping,
  input: ({ id }, request) => {
    expectTypeOf(id).toEqualTypeOf<number>();
    expectTypeOf(request).toEqualTypeOf<Request>();
    if (id === 0) return undefined;
    if (id === 1) return new Response("hello");
    return { orderId: String(id), express: true };
  },
});
const orders = queue({ name: "q", message: Message, workflow: shipping, input: ({ id }) => ({ orderId: String(id) }) });
onEvent({
  name: "e",
  event: paid,
  filter: ({ amount }) => {
    expectTypeOf(amount).toEqualTypeOf<number>();
    return amount > 1;
  },
  workflow: shipping,
  input: ({ id }) => {
    expectTypeOf(id).toEqualTypeOf<string>();
    return { orderId: id };
  },
});
// What is sent is what the contract takes, not what it makes of it.
void enqueue(engine, orders, { id: "7" });

// What does not.
// @ts-expect-error orderId is missing
cron({ name: "c", schedule: "@daily", workflow: shipping, input: () => ({}) });
// @ts-expect-error orderId is a string
cron({ name: "c", schedule: "@daily", workflow: shipping, input: (at) => ({ orderId: at }) });
// @ts-expect-error a cron cannot leave a time out
cron({ name: "c", schedule: "@daily", workflow: shipping, input: () => undefined });
// @ts-expect-error no such policy
cron({ name: "c", schedule: "@daily", missed: "twice", workflow: shipping, input: () => ({ orderId: "" }) });
// @ts-expect-error nothing says how the sender is known
webhook({ name: "w", payload: Message, workflow: shipping, input: () => undefined });
// @ts-expect-error the payload has no such key
webhook({ name: "w", verify: none(), payload: Message, workflow: shipping, input: ({ ref }) => ({ orderId: ref }) });
// @ts-expect-error orderId is a string
webhook({ name: "w", verify: none(), payload: Message, workflow: shipping, input: ({ id }) => ({ orderId: id }) });
// @ts-expect-error a path begins with a slash
webhook({ name: "w", path: "w", verify: none(), payload: Message, workflow: shipping, input: () => undefined });
// @ts-expect-error orderId is a string
queue({ name: "q", message: Message, workflow: shipping, input: ({ id }) => ({ orderId: id }) });
// @ts-expect-error the message's id is a string when it is sent
void enqueue(engine, orders, { id: 7 });
onEvent({
  name: "e",
  event: paid,
  // @ts-expect-error the payload has no such key
  filter: ({ total }) => total > 1,
  workflow: shipping,
  input: () => ({ orderId: "" }),
});
// @ts-expect-error orderId is missing
onEvent({ name: "e", event: paid, workflow: shipping, input: ({ id }) => ({ id }) });
