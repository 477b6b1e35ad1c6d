import type { Pool } from "pg";

export async function namesOf(pool: Pool, ids: readonly number[]) {
  const names: (string | undefined)[] = [];
  for (const id of ids) {
    const { rows } = await pool.query<{ id: number; name: string }>(
      `SELECT id, name
       FROM customers
       WHERE id = $1 -- the one
      `,
      [id],
    );
    names.push(rows[0]?.name.toUpperCase());
  }
  return names;
}

export async function run(pool: Pool) {
  return [await namesOf(pool, [3, 1, 3, 999, 2]), await namesOf(pool, [])];
}
