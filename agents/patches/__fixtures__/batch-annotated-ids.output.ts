import type { Pool } from "pg";

export async function namesOf(pool: Pool, ids: readonly number[]) {
  const names: (string | undefined)[] = [];
  const { rows: customers } = await pool.query<{ id: number; name: string }>(
    `SELECT id, name
       FROM customers
       WHERE id = ANY($1) -- the one
      `,
    [ids],
  );
  const customersById = new Map(customers.map((row) => [row.id, [row]]));
  for (const id of ids) {
    const rows = customersById.get(id) ?? [];
    names.push(rows[0]?.name.toUpperCase());
  }
  return names;
}

export async function run(pool: Pool) {
  return [await namesOf(pool, [3, 1, 3, 999, 2]), await namesOf(pool, [])];
}
