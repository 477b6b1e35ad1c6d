// Stock: set aside for an order, then taken off the shelf. Both steps may be repeated for one reference.
import { procedure, TsdevError } from "@tsdev/sdk";
import { sql, type Transaction } from "kysely";
import { z } from "zod";
import { db, type Tables } from "./database.ts";

export const PricedLine = z.object({
  productId: z.int(),
  name: z.string(),
  quantity: z.int().positive(),
  priceCents: z.int(),
});

/**
 * Locks an order's inventory rows in one order everywhere. Not FOR UPDATE: the foreign key of the reservations holds the
 * row's key for both of two orders of one product, and each would wait for the other.
 */
async function lockInventory(trx: Transaction<Tables>, reference: string) {
  const products = trx.selectFrom("stock_reservations").select("product_id").where("reference", "=", reference);
  return trx
    .selectFrom("inventory")
    .select(["product_id", "on_hand", "reserved"])
    .where("product_id", "in", products)
    .orderBy("product_id")
    .forNoKeyUpdate()
    .execute();
}

export const reserveStock = procedure({
  name: "reserve-stock",
  input: z.object({ reference: z.string(), pricedLines: z.array(PricedLine) }),
  output: z.object({ reservedUnits: z.int() }),
  effects: { reads: ["inventory"], writes: ["inventory", "stock_reservations"] },
  idempotent: true,
  handler: async ({ reference, pricedLines }) => {
    await db.transaction().execute(async (trx) => {
      const added = await trx
        .insertInto("stock_reservations")
        .values(pricedLines.map((line) => ({ reference, product_id: line.productId, quantity: line.quantity })))
        .onConflict((conflict) => conflict.doNothing())
        .returning(["product_id", "quantity"])
        .execute();
      const stock = await lockInventory(trx, reference);
      for (const { product_id, quantity } of added) {
        const left = stock.find((row) => row.product_id === product_id);
        const available = left ? left.on_hand - left.reserved : 0;
        if (quantity > available) throw notEnough(pricedLines, product_id, available);
      }
      await sql`
        UPDATE inventory SET reserved = reserved + added.quantity
        FROM unnest(${added.map((row) => row.product_id)}::int[], ${added.map((row) => row.quantity)}::int[])
          AS added (product_id, quantity)
        WHERE inventory.product_id = added.product_id
      `.execute(trx);
    });
    return { reservedUnits: pricedLines.reduce((sum, line) => sum + line.quantity, 0) };
  },
});

export const commitStock = procedure({
  name: "commit-stock",
  input: z.object({ reference: z.string() }),
  output: z.object({ committedUnits: z.int() }),
  effects: { reads: ["inventory", "stock_reservations"], writes: ["inventory", "stock_reservations"] },
  idempotent: true,
  handler: async ({ reference }) => {
    await db.transaction().execute(async (trx) => {
      await lockInventory(trx, reference);
      await sql`
        WITH taken AS (
          UPDATE stock_reservations SET committed = true
          WHERE reference = ${reference} AND NOT committed
          RETURNING product_id, quantity
        )
        UPDATE inventory SET on_hand = on_hand - taken.quantity, reserved = reserved - taken.quantity
        FROM taken WHERE inventory.product_id = taken.product_id
      `.execute(trx);
    });
    const { units } = await db
      .selectFrom("stock_reservations")
      .select(sql<number>`coalesce(sum(quantity), 0)::int`.as("units"))
      .where("reference", "=", reference)
      .where("committed", "=", true)
      .executeTakeFirstOrThrow();
    return { committedUnits: units };
  },
});

function notEnough(lines: z.infer<typeof PricedLine>[], productId: number, available: number): TsdevError {
  const index = lines.findIndex((line) => line.productId === productId);
  const line = lines[index];
  return new TsdevError("conflict", {
    message: `not enough stock of ${line?.name}: ${line?.quantity} asked for, ${available} left`,
    fix: available > 0 ? `ask for ${available} or fewer` : "take it out of the cart",
    path: `lines.${index}.quantity`,
  });
}
