import type { Pool } from "pg";

export async function run(pool: Pool) {
  const { rows: orders } = await pool.query("SELECT id, account FROM orders ORDER BY id");
  let found = 0;
  const balances: string[] = [];
  for (const order of orders) {
    const { rows: accounts } = await pool.query("SELECT a.id AS account_id, a.balance FROM accounts a WHERE a.id = $1", [order.account]);
    if (accounts.length === 0) continue;
    found += accounts.length;
    balances.push(`${order.id}: ${accounts[0].balance}`);
  }
  return { found, balances };
}
