// declines: changing-client
import type { Pool } from "pg";

export async function run(first: Pool) {
  let pool = first;
  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");
  const out: unknown[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    pool = first;
    out.push(rows);
  }
  return out;
}
