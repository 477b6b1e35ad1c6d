// declines: unknown-key-type
import type { Pool } from "pg";

export async function all(pool: Pool, orders: { customer_id: string }[]) {
  const out: unknown[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    out.push(rows);
  }
  return out;
}
