import type { Pool } from 'pg'

export async function run(pool: Pool) {
	const { rows: orders } = await pool.query<{ id: number; customer_id: number }>('SELECT id, customer_id FROM orders ORDER BY id')
	const owners = new Map<number, unknown>()

	const { rows: customers } = await pool.query('SELECT * FROM customers WHERE id = ANY($1)', [
		orders.map((order) => order.customer_id),
	])
	const customersById = new Map(customers.map((row) => [row.id, [row]]))
	// Who owns what.
	for (const order of orders) {
		const result = { rows: (customersById.get(order.customer_id) ?? []).map((row) => ({ ...row })) }
		owners.set(order.id, result.rows[0])
	}
	return [...owners]
}
