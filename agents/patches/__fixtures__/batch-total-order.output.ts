import type { Pool } from "pg";

type Note = { id: number; customer_id: number; body: string };

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query<{ id: number; customer_id: number }>("SELECT id, customer_id FROM orders ORDER BY id");
  const all: Note[][] = [];
  const { rows: notesRows } = await pool.query<Note>(
    "SELECT id, customer_id, body FROM notes WHERE customer_id = ANY($1) ORDER BY body DESC, id",
    [orders.map((order) => order.customer_id)],
  );
  const notesByCustomerId = new Map(notesRows.map((row) => [row.customer_id, [] as typeof notesRows]));
  for (const row of notesRows) notesByCustomerId.get(row.customer_id)?.push(row);
  for (const order of orders) {
    const notes = (notesByCustomerId.get(order.customer_id) ?? []).map((row) => ({ ...row }));
    all.push(notes);
  }
  return all;
}
