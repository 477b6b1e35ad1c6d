// declines: async-iterator
import type { Pool } from "pg";

export async function all(pool: Pool, orders: AsyncIterable<{ customer_id: number }>) {
  const out: unknown[] = [];
  for await (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    out.push(rows);
  }
  return out;
}
