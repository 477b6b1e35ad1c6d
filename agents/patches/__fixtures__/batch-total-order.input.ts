import type { Pool } from "pg";

type Note = { id: number; customer_id: number; body: string };

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query<{ id: number; customer_id: number }>("SELECT id, customer_id FROM orders ORDER BY id");
  const all: Note[][] = [];
  for (const order of orders) {
    const { rows: notes } = await pool.query<Note>("SELECT id, customer_id, body FROM notes WHERE customer_id = $1 ORDER BY body DESC, id", [order.customer_id]);
    all.push(notes);
  }
  return all;
}
