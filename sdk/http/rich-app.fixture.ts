// Fixture: an app with one of everything that HTTP serves, for OpenAPI, the typed client, generated clients and Schemathesis.
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Engine } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import { procedure } from "../procedures/procedure.ts";
import { stream } from "../procedures/stream.ts";
import { none } from "../triggers/none.ts";
import { webhook } from "../triggers/webhook.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { createApp } from "./create-app.ts";

export const Order = z
  .object({
    orderId: z.string(),
    placedAt: z.date(),
    items: z.array(z.object({ sku: z.string(), count: z.int().min(1) })),
    totalCents: z.bigint(),
    note: z.string().nullable(),
  })
  .meta({ id: "Order", description: "What a customer bought" });

const Id = z.string().regex(/^[a-z0-9]{1,16}$/);
const order = (orderId: string): z.input<typeof Order> => ({
  orderId,
  placedAt: new Date("2026-01-02T03:04:05.000Z"),
  items: [{ sku: "a", count: 2 }],
  totalCents: 4200n,
  note: null,
});

export const getOrder = procedure({
  name: "orders.get",
  summary: "Look at an order",
  input: z.object({ orderId: Id }),
  output: Order,
  http: { method: "GET", path: "/orders/:orderId", tags: ["orders"] },
  handler: ({ orderId }) => {
    if (orderId === "none") throw new TsdevError("not_found", { message: "no such order", fix: "list them" });
    return order(orderId);
  },
});

export const listOrders = procedure({
  name: "orders.list",
  summary: "List orders",
  input: z.object({
    limit: z.int().min(1).max(50).default(10),
    open: z.boolean().optional(),
    since: z.date().optional(),
    state: z.array(z.enum(["paid", "sent"])).optional(),
    above: z.bigint().optional(),
    match: z.object({ sku: z.string() }).optional(),
    by: z.union([z.int(), z.enum(["age", "total"])]).optional(),
    trace: z.string().optional(),
  }),
  output: z.object({ orders: z.array(Order), asked: z.string() }),
  http: { method: "GET", path: "/orders", headers: { trace: "x-trace" } },
  handler: (input) => ({
    orders: [order("o1")],
    asked: JSON.stringify(input, (_key, value) => (typeof value === "bigint" ? `${value}n` : value)),
  }),
});

export const placeOrder = procedure({
  name: "orders.place",
  summary: "Place an order",
  input: z.object({ orderId: Id, sku: z.string(), count: z.int().min(1).max(1_000), dueAt: z.date().optional() }),
  output: Order,
  errors: { out_of_stock: { status: 409, data: z.object({ left: z.int() }) }, closed: { status: 423 } },
  http: { method: "PUT", path: "/orders/:orderId", status: 201 },
  handler: ({ orderId, count }, ctx) => {
    if (count > 900) throw ctx.fail("out_of_stock", { left: 900 });
    if (count === 666) throw ctx.fail("closed");
    return order(orderId);
  },
});

export const removeOrder = procedure({
  name: "orders.remove",
  summary: "Remove an order",
  input: z.object({ orderId: Id }),
  output: z.void(),
  policies: { auth: { roles: ["admin"] } },
  http: { method: "DELETE", path: "/orders/:orderId" },
  handler: () => {},
});

export const countDown = procedure({
  name: "countDown",
  summary: "Count down",
  input: z.object({
    from: z.int().min(0).max(20),
    everyMs: z.number().min(0).max(20).optional(),
  }),
  output: stream(z.object({ left: z.int() })),
  handler: async function* ({ from, everyMs }, ctx) {
    for (let left = from; left >= 0; left--) {
      yield { left };
      if (everyMs) await sleep(everyMs, undefined, { signal: ctx.signal });
    }
  },
});

export const faltering = procedure({
  name: "faltering",
  summary: "Count down and fail on the way",
  input: z.object({ from: z.int().min(0).max(20), failAt: z.int() }),
  output: stream(z.object({ left: z.int() })),
  handler: async function* ({ from, failAt }) {
    for (let left = from; left >= 0; left--) {
      if (left === failAt) throw new TsdevError("unavailable", { message: "out of numbers", fix: "wait" });
      yield { left };
    }
  },
});

export const upload = procedure({
  name: "upload",
  summary: "Take a photo",
  input: z.object({ photo: z.file().max(10_000), title: z.string(), rating: z.int().optional() }),
  output: z.object({ bytes: z.int(), name: z.string(), title: z.string(), rating: z.int().optional() }),
  handler: async ({ photo, title, rating }) => ({ bytes: photo.size, name: photo.name, title, rating }),
});

export const download = procedure({
  name: "download",
  summary: "Give a file",
  input: z.object({ name: z.string().min(1).max(50) }),
  output: z.file(),
  http: { method: "GET", path: "/files" },
  handler: ({ name }) => new File(["hello"], name, { type: "text/plain" }),
});

export const whoAmI = procedure({
  name: "whoAmI",
  summary: "Say who calls",
  input: z.object({}),
  output: z.object({ id: z.string().nullable() }),
  policies: { rateLimit: { limit: 1_000_000, perMs: 1_000 } },
  handler: (_input, ctx) => ({ id: ctx.principal?.id ?? null }),
});

export const tree = procedure({
  name: "tree",
  summary: "Count a tree's leaves",
  input: z.object({ root: z.lazy(() => Tree) }),
  output: z.object({ leaves: z.int(), kinds: z.set(z.string()), byName: z.map(z.string(), z.int()) }),
  handler: ({ root }) => ({ leaves: leavesOf(root), kinds: new Set(["a"]), byName: new Map([[root.name, 1]]) }),
});
interface Tree {
  name: string;
  children: Tree[];
}
const Tree: z.ZodType<Tree, Tree> = z
  .object({ name: z.string(), children: z.array(z.lazy(() => Tree)) })
  .meta({ id: "Tree" });
function leavesOf({ children }: Tree): number {
  return children.length === 0 ? 1 : children.reduce((sum, child) => sum + leavesOf(child), 0);
}

export const paid = event({
  name: "order.paid",
  payload: z.object({ orderId: z.string(), amount: z.number() }),
  key: ({ orderId }) => orderId,
});

const measure = procedure({
  name: "measure",
  input: z.object({ orderId: z.string() }),
  output: z.object({ length: z.int(), at: z.date() }),
  handler: ({ orderId }) => {
    if (orderId === "bad") throw new TsdevError("conflict", { message: "a bad order", fix: "take another" });
    return { length: orderId.length, at: new Date(0) };
  },
});

export const processing = workflow("order-processing")
  .input(z.object({ orderId: z.string() }))
  .step(measure);

export const reviewed = workflow("reviewed-order")
  .input(z.object({ orderId: z.string() }))
  .step(measure)
  .approve("manager", { onReject: "continue" });

const onPaid = webhook({
  name: "bank",
  verify: none(),
  payload: z.object({ orderId: z.string() }),
  workflow: processing,
  input: ({ orderId }) => ({ orderId }),
});

/** `Bearer admin` and `Bearer user` are known. */
export function richApp(engine: Engine) {
  return createApp({
    procedures: [getOrder, listOrders, placeOrder, removeOrder, countDown, faltering, upload, download, whoAmI, tree],
    workflows: [processing, reviewed],
    triggers: [onPaid],
    events: [paid],
    publishOverHttp: true,
    engine,
    runs: "open",
    control: { roles: ["admin"], starter: true },
    authenticate: (request) => {
      const token = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      if (token === undefined) return undefined;
      if (token === "admin" || token === "user") return { id: token, roles: [token] };
      throw new TsdevError("unauthenticated", { message: "the token is not known", fix: "send another" });
    },
    openapi: {
      title: "Rich",
      version: "1.0.0",
      description: "One of everything",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
  });
}
