import type { Pool } from 'pg'

export async function run(pool: Pool) {
	const { rows: orders } = await pool.query<{ id: number; customer_id: number }>('SELECT id, customer_id FROM orders ORDER BY id')
	const owners = new Map<number, unknown>()

	// Who owns what.
	for (const order of orders) {
		const result = await pool.query('SELECT * FROM customers WHERE id = $1', [order.customer_id])
		owners.set(order.id, result.rows[0])
	}
	return [...owners]
}
