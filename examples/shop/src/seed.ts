// The shop's first stock, customers and orders: the same on every empty database.
import { pool } from "./database.ts";

const sizes = { categories: 8, products: 60, customers: 500, orders: 2_000 };

/** Orders of customers who have asked to be erased: their row is gone, the shipped order stays. */
const erasedCustomerOf = new Map([
  [1_962, 501],
  [1_985, 502],
]);

/** The last product is sold out. */
const stockOf = (product: number) => (product === sizes.products ? 0 : 20_000);

const categories = ["Tea", "Coffee", "Cups", "Pots", "Kettles", "Sweets", "Books", "Linen"];
const qualities = ["Plain", "Fine", "Grand", "Small", "Old", "Blue", "Morning", "Winter"];
const givenNames = ["Ada", "Bela", "Carl", "Dora", "Emil", "Frida", "Gus", "Hanna", "Ivo", "Jana"];
const familyNames = ["Novak", "Berg", "Costa", "Dahl", "Eriksen", "Fischer", "Gruber", "Horvat", "Ivanov", "Jansen"];
const cities = ["Graz", "Lyon", "Porto", "Ghent", "Turku", "Brno", "Split", "Malmo"];

/** A small generator of repeatable numbers (mulberry32), from 0 up to but not including `limit`. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

const pick = (list: readonly string[], index: number) => list[index % list.length] as string;

/** The day `days` after 1 January 2026. */
const day = (days: number) => new Date(Date.UTC(2026, 0, 1 + days)).toISOString().slice(0, 10);

function range<T>(count: number, make: (number: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index + 1));
}

function rows() {
  const next = numbers(20_260_101);
  const products = range(sizes.products, (id) => ({
    id,
    category_id: 1 + (id % sizes.categories),
    name: `${pick(qualities, id)} ${pick(categories, id)} No. ${id}`,
    price_cents: 350 + 50 * next(90),
    weight_grams: 80 + 20 * next(60),
    added_on: day(id),
  }));
  const customers = range(sizes.customers, (id) => {
    const name = `${pick(givenNames, id)} ${pick(familyNames, Math.floor(id / givenNames.length))}`;
    const email = `${name.toLowerCase().replace(" ", ".")}.${id}@example.com`;
    return { id, name, email, street: `${1 + next(120)} ${pick(qualities, next(8))} Street`, city: pick(cities, id) };
  });
  const lines = range(sizes.orders, (orderId) => {
    const first = next(sizes.products - 1);
    return range(1 + next(3), (line) => {
      const product = products[(first + 7 * line) % (sizes.products - 1)] as (typeof products)[number];
      return { order_id: orderId, product_id: product.id, quantity: 1 + next(3), price_cents: product.price_cents };
    });
  });
  const orders = range(sizes.orders, (id) => ({
    id,
    reference: `first-${id}`,
    customer_id: erasedCustomerOf.get(id) ?? 1 + next(sizes.customers),
    status: erasedCustomerOf.has(id) ? "shipped" : "paid",
    total_cents: (lines[id - 1] ?? []).reduce((sum, line) => sum + line.quantity * line.price_cents, 0),
    placed_on: day(Math.floor(id / 8)),
  }));
  return {
    categories: range(sizes.categories, (id) => ({ id, name: pick(categories, id - 1) })),
    products,
    inventory: products.map(({ id }) => ({ product_id: id, on_hand: stockOf(id), reserved: 0 })),
    customers,
    orders,
    order_lines: lines.flat(),
  };
}

/** Fills an empty shop, and leaves one that has products alone. Safe to call from several instances at once. */
export async function seed(): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock(hashtext('shop.seed'))");
    const { rows: found } = await client.query("SELECT 1 FROM products LIMIT 1");
    if (found.length === 0) {
      for (const [table, records] of Object.entries(rows())) {
        const columns = Object.keys(records[0] ?? {}).join(", ");
        await client.query(
          `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1)`,
          [JSON.stringify(records)],
        );
      }
      await client.query("SELECT setval(pg_get_serial_sequence('orders', 'id'), max(id)) FROM orders");
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}
