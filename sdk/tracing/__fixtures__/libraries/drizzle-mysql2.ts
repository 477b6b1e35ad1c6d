// Program: Drizzle on mysql2.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/mysql2";
import { int, mysqlTable, text } from "drizzle-orm/mysql-core";
import mysql from "mysql2/promise";
import { serve } from "./serve.ts";

const customers = mysqlTable("customers", { id: int().primaryKey(), name: text().notNull() });
const db = drizzle(mysql.createPool({ uri: process.env.MYSQL_URL!, connectionLimit: 1 }));

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
