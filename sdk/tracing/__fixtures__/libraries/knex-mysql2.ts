// Program: Knex on mysql2.
import knex from "knex";
import { serve } from "./serve.ts";

const db = knex({ client: "mysql2", connection: process.env.MYSQL_URL!, pool: { min: 0, max: 1 } });

async function customer(id: number): Promise<string> {
  const row = await db("customers").where({ id }).first(); // @query
  return row.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return db.transaction(async (tx) => {
    const row = await tx("customers").where({ id: 2 }).first(); // @transaction
    return row.name;
  });
}

serve({ loop, transaction: inTransaction, fail: async () => db.raw("SELECT nothing FROM nowhere") });
