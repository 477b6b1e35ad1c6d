// Program: mysql2 with promises: a pool of one, execute, a connection, a transaction and a stream.
import mysql, { type RowDataPacket } from "mysql2/promise";
import { serve } from "./serve.ts";

const pool = mysql.createPool({ uri: process.env.MYSQL_URL!, connectionLimit: 1 });

async function customer(id: number): Promise<string> {
  const [rows] = await pool.query<RowDataPacket[]>("SELECT name FROM customers WHERE id = ?", [id]); // @query
  return rows[0]!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function execute(): Promise<string> {
  const [rows] = await pool.execute<RowDataPacket[]>("SELECT name FROM customers WHERE id = ?", [2]); // @execute
  return rows[0]!.name;
}

async function inTransaction(): Promise<string> {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    const [rows] = await connection.query<RowDataPacket[]>("SELECT name FROM customers WHERE id = 2"); // @transaction
    await connection.commit();
    return rows[0]!.name;
  } finally {
    connection.release();
  }
}

serve({ loop, execute, transaction: inTransaction, fail: () => pool.query("SELECT nothing FROM nowhere") });
