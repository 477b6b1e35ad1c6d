// Program: mysql2 with callbacks and events.
import mysql, { type RowDataPacket } from "mysql2";
import { serve } from "./serve.ts";

const pool = mysql.createPool({ uri: process.env.MYSQL_URL!, connectionLimit: 1 });

type Settle = [done: (name: string) => void, failed: (error: Error) => void];

function firstName(...[done, failed]: Settle) {
  return (error: Error | null, rows: RowDataPacket[]) => {
    if (error) failed(error);
    else done(rows[0]!.name);
  };
}

const byId = "SELECT name FROM customers WHERE id = ?";

function customer(id: number): Promise<string> {
  return new Promise((...settle: Settle) => pool.query<RowDataPacket[]>(byId, [id], firstName(...settle))); // @query
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

function nested(): Promise<string> {
  return new Promise((done, failed) => {
    pool.getConnection((error, connection) => { // @checkout
      if (error) return failed(error);
      connection.query<RowDataPacket[]>("SELECT name FROM customers WHERE id = 2", (other, rows) => { // @nested
        connection.release();
        if (other) return failed(other);
        // Goes on in the request's own trace.
        void customer(3).then((name) => done(`${rows[0]!.name} ${name}`), failed);
      });
    });
  });
}

function events(): Promise<string[]> {
  return new Promise((done, failed) => {
    const names: string[] = [];
    const query = pool.query("SELECT name FROM customers ORDER BY id"); // @events
    query.on("error", failed);
    query.on("result", (row) => names.push((row as RowDataPacket).name));
    query.on("end", () => done(names));
  });
}

serve({
  loop,
  nested,
  events,
  fail: () => new Promise((done, failed) => pool.query("SELECT nothing FROM nowhere", (error) => failed(error))),
});
