import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, document FROM orders ORDER BY id");
  const { rows: documents } = await pool.query(
    "SELECT title, id FROM documents WHERE id = ANY($1::uuid[]) AND title <> $2",
    [orders.map((order) => order.document), "document 3"],
  );
  const documentsById = new Map(documents.map((row) => [row.id, [row]]));
  for (const order of orders) {
    const rows = documentsById.get(order.document) ?? [];
    order.title = rows[0]?.title ?? "none";
  }
  return orders;
}
