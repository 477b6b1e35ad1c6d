import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");
  const found: { name: string }[] = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    if (rows[0]) found.push(rows[0]);
  }
  // Elements of one customer are objects of their own.
  for (const [index, row] of found.entries()) row.name += `!${index}`;
  return found;
}
