// Program: postgres.js, with transactions, raw statements, fragments and a cursor.
import postgres from "postgres";
import { serve } from "./serve.ts";

const sql = postgres(process.env.DATABASE_URL!, { max: 1 });

async function customer(id: number): Promise<string> {
  const [row] = await sql`SELECT name FROM customers WHERE id = ${id}`; // @query
  return row!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return sql.begin(async (tx) => {
    const [row] = await tx`SELECT name FROM customers WHERE id = ${2}`; // @transaction
    return row!.name;
  });
}

async function unsafe(): Promise<string> {
  const [row] = await sql.unsafe("SELECT name FROM customers WHERE id = $1", [3]); // @unsafe
  return row!.name;
}

async function fragment(): Promise<string[]> {
  const rows = await sql`SELECT name FROM customers WHERE ${sql`id > ${1}`} ORDER BY ${sql("id")}`; // @fragment
  return rows.map(({ name }) => name);
}

async function cursor(): Promise<string[]> {
  const names: string[] = [];
  for await (const [row] of sql`SELECT name FROM customers ORDER BY id`.cursor()) names.push(row!.name); // @cursor
  return names;
}

serve({ loop, transaction: inTransaction, unsafe, fragment, cursor, fail: () => sql`SELECT nothing FROM nowhere` });
