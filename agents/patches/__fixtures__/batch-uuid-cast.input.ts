import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, document FROM orders ORDER BY id");
  for (const order of orders) {
    const { rows } = await pool.query("SELECT title, id FROM documents WHERE id = $1::uuid AND title <> $2", [order.document, "document 3"]);
    order.title = rows[0]?.title ?? "none";
  }
  return orders;
}
