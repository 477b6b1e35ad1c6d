// Program: pg, with a pool of one, a client, callbacks and a cursor.
import pg from "pg";
// @ts-expect-error: it has no types of its own.
import Cursor from "pg-cursor";
import { serve } from "./serve.ts";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });

async function customer(id: number): Promise<string> {
  const { rows } = await pool.query("SELECT name FROM customers WHERE id = $1", [id]); // @query
  return rows[0].name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function withClient(): Promise<string> {
  const client = await pool.connect();
  try {
    const { rows } = await client.query("SELECT name FROM customers WHERE id = 2"); // @client
    return rows[0].name;
  } finally {
    client.release();
  }
}

function withCallback(): Promise<string> {
  return new Promise((done, failed) => {
    pool.query("SELECT name FROM customers WHERE id = 3", (error, result) => { // @callback
      if (error) failed(error);
      else done(result.rows[0].name);
    });
  });
}

async function withCursor(): Promise<string[]> {
  const client = await pool.connect();
  const cursor = client.query(new Cursor("SELECT name FROM customers ORDER BY id")); // @cursor
  const names: string[] = [];
  for (let rows = await cursor.read(2); rows.length > 0; rows = await cursor.read(2)) {
    names.push(...rows.map(({ name }: { name: string }) => name));
  }
  await cursor.close();
  client.release();
  return names;
}

serve({
  loop,
  client: withClient,
  callback: withCallback,
  cursor: withCursor,
  fail: () => pool.query("SELECT nothing FROM nowhere"),
});
