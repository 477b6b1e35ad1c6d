// declines: not-in-loop
import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id, document, placed FROM orders ORDER BY id");
  const out: unknown[] = [];
  let index = 0;
  while (index < orders.length) {
    const order = orders[index++]!;
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    out.push(rows);
  }
  return out;
}
