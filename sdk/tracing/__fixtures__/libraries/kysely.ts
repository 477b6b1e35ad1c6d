// Program: Kysely on pg.
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { serve } from "./serve.ts";

interface Database {
  customers: { id: number; name: string };
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });

async function customer(id: number): Promise<string> {
  const row = await db.selectFrom("customers").selectAll().where("id", "=", id).executeTakeFirstOrThrow(); // @query
  return row.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return db.transaction().execute(async (tx) => {
    const row = await tx.selectFrom("customers").selectAll().where("id", "=", 2).executeTakeFirstOrThrow(); // @transaction
    return row.name;
  });
}

serve({ loop, transaction: inTransaction, fail: () => sql`SELECT nothing FROM nowhere`.execute(db) });
