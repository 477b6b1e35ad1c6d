// declines: not-in-loop
import type { Pool } from "pg";

export async function customerOf(pool: Pool, id: number) {
  const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [id]);
  return rows[0];
}
