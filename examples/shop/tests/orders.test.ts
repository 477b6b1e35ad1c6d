// The order list: newest first, each with the customer who placed it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pool } from "../src/database.ts";
import type { ListedOrder } from "../src/orders.ts";
import { runningShop } from "./running-shop.ts";

const shop = runningShop();

async function list(): Promise<ListedOrder[]> {
  const response = await shop.get("/orders");
  assert.equal(response.status, 200);
  return (await response.json()) as ListedOrder[];
}

test("the 50 newest orders come newest first", async () => {
  const ids = (await list()).map((order) => order.id);
  assert.equal(ids.length, 50);
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => b - a),
  );
});

test("every order shows the customer who placed it, also one with several orders", async () => {
  const orders = await list();
  const { rows } = await pool.query<{ id: number; name: string; city: string }>(
    "SELECT orders.id, customers.name, customers.city FROM orders JOIN customers ON customers.id = customer_id",
  );
  const placedBy = new Map(rows.map(({ id, name, city }) => [id, { name, city }]));
  for (const order of orders) assert.deepEqual(order.customer, placedBy.get(order.id) ?? null);
  const names = orders.flatMap((order) => order.customer?.name ?? []);
  assert.ok(new Set(names).size < names.length, "no customer has two orders in the list");
});

test("an order whose customer has been erased is listed without one", async () => {
  const { rows } = await pool.query<{ id: number }>(
    `INSERT INTO orders (reference, customer_id, status, total_cents)
     VALUES ('erased-' || gen_random_uuid(), 999999, 'shipped', 1200) RETURNING id`,
  );
  const order = (await list()).find(({ id }) => id === rows[0]?.id);
  assert.equal(order?.totalCents, 1200);
  assert.equal(order?.customer, null);
});

test("the catalog names what is sold out, and the export has every customer once", async () => {
  const catalog = (await (await shop.get("/catalog")).json()) as { soldOut: { id: number }[]; categories: unknown[] };
  assert.ok(catalog.soldOut.some(({ id }) => id === 60));
  assert.equal(catalog.categories.length, 8);
  const lines = (await (await shop.get("/customers/export")).text()).trim().split("\n").slice(1);
  assert.equal(new Set(lines).size, lines.length);
  assert.equal(lines.length, 500);
});
