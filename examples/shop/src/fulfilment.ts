// Fulfilment: hands a paid order to the carrier. Doing it twice is the same as doing it once.
import { procedure, TsdevError, workflow } from "@tsdev/sdk";
import { sql } from "kysely";
import { z } from "zod";
import { db } from "./database.ts";
import { answer, partnerUrl } from "./partners.ts";

const Parcel = z.object({ recipient: z.string(), street: z.string(), city: z.string(), weightGrams: z.int() });

export const loadParcel = procedure({
  name: "load-parcel",
  input: z.object({ orderId: z.int() }),
  output: z.object({ parcel: Parcel }),
  effects: { reads: ["orders", "customers", "order_lines", "products"], writes: [] },
  idempotent: true,
  handler: async ({ orderId }) => {
    const parcel = await db
      .selectFrom("orders")
      .innerJoin("customers", "customers.id", "orders.customer_id")
      .innerJoin("order_lines", "order_lines.order_id", "orders.id")
      .innerJoin("products", "products.id", "order_lines.product_id")
      .select([
        "customers.name as recipient",
        "customers.street",
        "customers.city",
        sql<number>`sum(order_lines.quantity * products.weight_grams)::int`.as("weightGrams"),
      ])
      .where("orders.id", "=", orderId)
      .groupBy("customers.id")
      .executeTakeFirst();
    if (parcel) return { parcel };
    throw new TsdevError("not_found", {
      message: `no order ${orderId} that could be sent to someone`,
      fix: "ask GET /orders/waiting which orders wait to be shipped",
      path: "orderId",
    });
  },
});

export const shipOrder = procedure({
  name: "ship-order",
  input: z.object({ orderId: z.int(), parcel: Parcel }),
  output: z.object({ trackingCode: z.string() }),
  effects: { reads: [], writes: ["carrier"] },
  idempotent: true,
  handler: async ({ orderId, parcel }, ctx) => {
    const response = await fetch(partnerUrl("carrier", `/shipments/${orderId}`), {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(parcel),
      signal: ctx.signal,
    });
    return answer("carrier", response, z.object({ trackingCode: z.string() }));
  },
});

export const markShipped = procedure({
  name: "mark-shipped",
  input: z.object({ orderId: z.int(), trackingCode: z.string() }),
  output: z.object({ status: z.literal("shipped") }),
  effects: { reads: [], writes: ["orders"] },
  idempotent: true,
  handler: async ({ orderId, trackingCode }) => {
    await db
      .updateTable("orders")
      .set({ status: "shipped", tracking_code: trackingCode })
      .where("id", "=", orderId)
      .execute();
    return { status: "shipped" as const };
  },
});

export const fulfilment = workflow("fulfilment")
  .input(z.object({ orderId: z.int() }))
  .step(loadParcel)
  .step(shipOrder)
  .step(markShipped);
