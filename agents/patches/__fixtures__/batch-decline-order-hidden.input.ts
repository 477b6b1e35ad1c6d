// declines: row-order
import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id, document, placed FROM orders ORDER BY id");
  const out: unknown[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT customer_id, body AS id FROM notes WHERE customer_id = $1 ORDER BY id", [order.customer_id]);
    out.push(rows);
  }
  return out;
}
