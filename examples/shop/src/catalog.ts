// The catalog page: seven small questions about the range, each asked once.
import { sql } from "kysely";
import { db } from "./database.ts";

/** Everything the catalog page shows. */
export async function catalogPage() {
  const categories = await db.selectFrom("categories").select(["id", "name"]).orderBy("id").execute();

  const sizes = await db
    .selectFrom("products")
    .select(["category_id as categoryId", sql<number>`count(*)::int`.as("products")])
    .groupBy("category_id")
    .orderBy("category_id")
    .execute();

  const newest = await db
    .selectFrom("products")
    .select(["id", "name", "price_cents as priceCents"])
    .orderBy("added_on", "desc")
    .limit(6)
    .execute();

  const cheapest = await db
    .selectFrom("products")
    .select(["id", "name", "price_cents as priceCents"])
    .orderBy("price_cents")
    .orderBy("id")
    .limit(6)
    .execute();

  const bestSelling = await db
    .selectFrom("order_lines")
    .select(["product_id as id", sql<number>`sum(quantity)::int`.as("sold")])
    .groupBy("product_id")
    .orderBy("sold", "desc")
    .orderBy("product_id")
    .limit(6)
    .execute();

  const soldOut = await db
    .selectFrom("inventory")
    .select("product_id as id")
    .where("on_hand", "=", 0)
    .orderBy("product_id")
    .execute();

  const prices = await db
    .selectFrom("products")
    .select([sql<number>`min(price_cents)`.as("fromCents"), sql<number>`max(price_cents)`.as("toCents")])
    .executeTakeFirstOrThrow();

  return { categories, sizes, newest, cheapest, bestSelling, soldOut, prices };
}
