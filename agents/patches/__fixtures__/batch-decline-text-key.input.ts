// declines: unknown-key-type
import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id, document, placed FROM orders ORDER BY id");
  const out: unknown[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT email, name FROM customers WHERE email = $1", [order.document]);
    out.push(rows);
  }
  return out;
}
