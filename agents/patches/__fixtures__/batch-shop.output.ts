import type { Pool } from "pg";

interface OrderRow {
  id: number;
  customerId: number;
}

interface CustomerRow {
  id: number;
  name: string;
  city: string;
}

// 🦊 The 50 newest orders, with 客户.
export async function run(pool: Pool) {
  const { rows: orders } = await pool.query<OrderRow>(
    `SELECT id, customer_id AS "customerId"
     FROM orders ORDER BY id DESC LIMIT 50`,
  );
  const listed: { id: number; customer: { name: string; city: string } | null }[] = [];
  const { rows: customers } = await pool.query<CustomerRow>("SELECT id, name, city FROM customers WHERE id = ANY($1)", [
    orders.map((order) => order.customerId),
  ]);
  const customersById = new Map(customers.map((row) => [row.id, [row]]));
  for (const order of orders) {
    const rows = customersById.get(order.customerId) ?? [];
    const customer = rows[0];
    listed.push({
      id: order.id,
      customer: customer ? { name: customer.name, city: customer.city } : null,
    });
  }
  return listed;
}
