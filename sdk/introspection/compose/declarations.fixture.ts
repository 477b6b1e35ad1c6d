// Fixture: the declarations that composed workflows of the tests refer to.
import { z } from "zod";
import { procedure } from "../../procedures/procedure.ts";
import { event } from "../../workflows/event.ts";
import { workflow } from "../../workflows/workflow.ts";

const Order = z.object({
  total: z.number(),
  kind: z.enum(["gift", "normal"]),
  email: z.string(),
  note: z.string().optional(),
});

export const loadOrder = procedure({
  name: "loadOrder",
  summary: "Load an order",
  input: z.object({ orderId: z.string() }),
  output: z.object({ order: Order, lines: z.array(z.object({ sku: z.string() })) }),
  effects: { reads: ["orders"], writes: [] },
  idempotent: true,
  handler: () => ({ order: { total: 1, kind: "gift" as const, email: "a@b.c" }, lines: [] }),
});
export const charge = procedure({
  name: "charge",
  input: z.object({ amount: z.number(), currency: z.enum(["EUR", "USD"]) }),
  output: z.object({ chargeId: z.string() }),
  effects: { reads: [], writes: ["payments"] },
  idempotent: false,
  handler: () => ({ chargeId: "c" }),
});
export const refund = procedure({
  name: "refund",
  input: z.object({ chargeId: z.string() }),
  output: z.object({ refunded: z.boolean() }),
  effects: { reads: ["payments"], writes: ["payments"] },
  idempotent: true,
  handler: () => ({ refunded: true }),
});
export const reserve = procedure({
  name: "reserve",
  input: z.object({ orderId: z.string() }),
  output: z.object({ reservation: z.string() }),
  effects: { reads: [], writes: ["stock"] },
  handler: () => ({ reservation: "r" }),
});
export const countStock = procedure({
  name: "countStock",
  input: z.object({ orderId: z.string() }),
  output: z.object({ stock: z.int() }),
  effects: { reads: ["stock"], writes: [] },
  handler: () => ({ stock: 1 }),
});
export const sendEmail = procedure({
  name: "sendEmail",
  input: z.object({ to: z.string(), secret: z.string().meta({ sensitive: true }).optional() }),
  output: z.object({ sent: z.boolean() }),
  effects: { reads: ["orders"], writes: ["mail"] },
  handler: () => ({ sent: true }),
});
export const pick = procedure({
  name: "pick",
  input: z.object({ sku: z.string() }),
  output: z.object({ shelf: z.int() }),
  handler: () => ({ shelf: 1 }),
});
export const check = procedure({
  name: "check",
  input: z.object({ orderId: z.string() }),
  output: z.object({ status: z.enum(["pending", "ready"]) }),
  handler: () => ({ status: "ready" as const }),
});
export const paid = event({ name: "paid", payload: z.object({ orderId: z.string() }), key: ({ orderId }) => orderId });
export const archive = workflow("archive")
  .input(z.object({ orderId: z.string() }))
  .step(check);
