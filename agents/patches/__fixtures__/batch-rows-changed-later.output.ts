import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");
  const found: { name: string }[] = [];
  const { rows: customers } = await pool.query("SELECT id, name FROM customers WHERE id = ANY($1)", [
    orders.map((order) => order.customer_id),
  ]);
  const customersById = new Map(customers.map((row) => [row.id, [row]]));
  for (const order of orders) {
    const rows = (customersById.get(order.customer_id) ?? []).map((row) => ({ ...row }));
    if (rows[0]) found.push(rows[0]);
  }
  // Elements of one customer are objects of their own.
  for (const [index, row] of found.entries()) row.name += `!${index}`;
  return found;
}
