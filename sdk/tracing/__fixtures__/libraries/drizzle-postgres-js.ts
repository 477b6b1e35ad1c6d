// Program: Drizzle on postgres.js.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import postgres from "postgres";
import { serve } from "./serve.ts";

const customers = pgTable("customers", { id: integer().primaryKey(), name: text().notNull() });
const db = drizzle(postgres(process.env.DATABASE_URL!, { max: 1 }));

async function customer(id: number): Promise<string> {
  const [row] = await db.select().from(customers).where(eq(customers.id, id)); // @query
  return row!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return db.transaction(async (tx) => {
    const [row] = await tx.select().from(customers).where(eq(customers.id, 2)); // @transaction
    return row!.name;
  });
}

serve({ loop, transaction: inTransaction, fail: () => db.execute("SELECT nothing FROM nowhere") });
