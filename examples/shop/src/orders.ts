// Orders as the back office sees them: the newest with their customers, and those that wait to be shipped.
import { pool } from "./database.ts";

interface OrderRow {
  id: number;
  customerId: number;
  status: string;
  totalCents: number;
  placedOn: string;
}

interface CustomerRow {
  id: number;
  name: string;
  city: string;
}

export interface ListedOrder {
  id: number;
  status: string;
  totalCents: number;
  placedOn: string;
  /** Null when the customer has been erased. */
  customer: { name: string; city: string } | null;
}

/** The 50 newest orders with the name of who placed them, newest first. */
export async function newestOrders(): Promise<ListedOrder[]> {
  const { rows: orders } = await pool.query<OrderRow>(
    `SELECT id, customer_id AS "customerId", status, total_cents AS "totalCents", placed_on AS "placedOn"
     FROM orders ORDER BY id DESC LIMIT 50`,
  );
  const listed: ListedOrder[] = [];
  for (const order of orders) {
    const { rows } = await pool.query<CustomerRow>("SELECT id, name, city FROM customers WHERE id = $1", [
      order.customerId,
    ]);
    const customer = rows[0];
    listed.push({
      id: order.id,
      status: order.status,
      totalCents: order.totalCents,
      placedOn: order.placedOn,
      customer: customer ? { name: customer.name, city: customer.city } : null,
    });
  }
  return listed;
}

/** The ids of orders that are paid and not yet shipped, oldest first. */
export async function waitingOrders(limit: number): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>(
    "SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT $1",
    [limit],
  );
  return rows.map((row) => row.id);
}
