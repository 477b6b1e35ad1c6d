import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");
  const out: unknown[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    out.push([order.id, rows.map((row) => row.name)]);
  }
  return out;
}