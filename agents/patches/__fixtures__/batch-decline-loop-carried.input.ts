// declines: loop-carried
import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id, document, placed FROM orders ORDER BY id");
  const out: unknown[] = [];
  let floor = 0;
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1 AND id > $2", [order.customer_id, floor]);
    floor += 1;
    out.push(rows);
  }
  return out;
}
