// Checkout: from a cart to a paid order whose customer has been told.
import { procedure, TsdevError, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { sendConfirmation, trackPurchase } from "./announcements.ts";
import { db, pool } from "./database.ts";
import { chargeCard } from "./payment.ts";
import { commitStock, PricedLine, reserveStock } from "./stock.ts";

export const Cart = z.object({
  /** The client's own name for this purchase; the same one again is the same order. */
  reference: z.string().min(1).max(64),
  customerId: z.int(),
  lines: z
    .array(z.object({ productId: z.int(), quantity: z.int().min(1).max(100) }))
    .min(1)
    .max(20),
  paymentMethod: z.string(),
});

export const validateOrder = procedure({
  name: "validate-order",
  input: Cart.pick({ customerId: true, lines: true }),
  output: z.object({ email: z.string(), pricedLines: z.array(PricedLine), totalCents: z.int() }),
  effects: { reads: ["customers", "products"], writes: [] },
  idempotent: true,
  handler: async ({ customerId, lines }) => {
    const customer = await db.selectFrom("customers").select("email").where("id", "=", customerId).executeTakeFirst();
    if (!customer) {
      throw new TsdevError("not_found", {
        message: `no customer ${customerId}`,
        fix: "sign in again",
        path: "customerId",
      });
    }
    const products = await db
      .selectFrom("products")
      .select(["id", "name", "price_cents"])
      .where("id", "in", [...new Set(lines.map((line) => line.productId))])
      .execute();
    const pricedLines = lines.map(({ productId, quantity }, index) => {
      const product = products.find(({ id }) => id === productId);
      if (!product || lines.findIndex((line) => line.productId === productId) !== index) {
        throw new TsdevError("invalid_input", {
          message: product ? `product ${productId} is in the cart twice` : `no product ${productId}`,
          fix: product ? "add the quantities up in one line" : "take it out of the cart",
          path: `lines.${index}.productId`,
        });
      }
      return { productId, name: product.name, quantity, priceCents: product.price_cents };
    });
    const totalCents = pricedLines.reduce((sum, line) => sum + line.quantity * line.priceCents, 0);
    return { email: customer.email, pricedLines, totalCents };
  },
});

export const recordOrder = procedure({
  name: "record-order",
  input: z.object({
    reference: z.string(),
    customerId: z.int(),
    pricedLines: z.array(PricedLine),
    totalCents: z.int(),
    chargeId: z.string(),
  }),
  output: z.object({ orderId: z.int(), orderNumber: z.string() }),
  effects: { reads: [], writes: ["orders", "order_lines"] },
  idempotent: true,
  handler: async ({ reference, customerId, pricedLines, totalCents, chargeId }) => {
    const { rows } = await pool.query<{ id: number }>(
      `WITH placed AS (
         INSERT INTO orders (reference, customer_id, status, total_cents, charge_id) VALUES ($1, $2, 'paid', $3, $4)
         ON CONFLICT (reference) DO UPDATE SET charge_id = EXCLUDED.charge_id
         RETURNING id
       ), lines AS (
         INSERT INTO order_lines (order_id, product_id, quantity, price_cents)
         SELECT placed.id, line.* FROM placed, unnest($5::int[], $6::int[], $7::int[]) AS line
         ON CONFLICT DO NOTHING
       )
       SELECT id FROM placed`,
      [
        reference,
        customerId,
        totalCents,
        chargeId,
        pricedLines.map((line) => line.productId),
        pricedLines.map((line) => line.quantity),
        pricedLines.map((line) => line.priceCents),
      ],
    );
    return { orderId: rows[0]?.id ?? 0, orderNumber: `S-${reference}` };
  },
});

export const checkout = workflow("checkout")
  .input(Cart)
  .step(validateOrder)
  .step(reserveStock)
  .step(commitStock)
  .step(chargeCard)
  .step(recordOrder)
  .step(sendConfirmation)
  .step(trackPurchase);
