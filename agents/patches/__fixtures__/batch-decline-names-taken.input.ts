// declines: names-taken
import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, customer_id, document, placed FROM orders ORDER BY id");
  const out: unknown[] = [];
  const customers = 1, customersRows = 2, customersFound = 3, allCustomers = 4;
  for (const order of orders) {
    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);
    out.push(rows, customers, customersRows, customersFound, allCustomers);
  }
  return out;
}
