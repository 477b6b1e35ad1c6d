import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");
  const out: unknown[] = [];
  const { rows: customers } = await pool.query("SELECT id, name FROM customers WHERE id = ANY($1)", [
    orders.map((order) => order.customer_id),
  ]);
  const customersById = new Map(customers.map((row) => [row.id, [row]]));
  for (const order of orders) {
    const rows = (customersById.get(order.customer_id) ?? []).map((row) => ({ ...row }));
    out.push([order.id, rows.map((row) => row.name)]);
  }
  return out;
}