// A small app on Node's HTTP server and plain pg; each version of it hands in how it lists, places and ships orders.
import { createServer } from "node:http";
import pg from "pg";

export interface Version {
  list(pool: pg.Pool): Promise<unknown>;
  place(pool: pg.Pool, order: { customerId: number; total: number }): Promise<unknown>;
  ship(pool: pg.Pool, id: number, carrier: string): Promise<unknown>;
  announce(partner: string): Promise<unknown>;
}

export async function serve(version: Version): Promise<void> {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
  pool.on("error", () => {});
  await pool.query(`
    CREATE TABLE IF NOT EXISTS customers (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS orders (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      customer_id integer NOT NULL REFERENCES customers,
      total integer NOT NULL,
      doubled integer GENERATED ALWAYS AS (total * 2) STORED,
      token uuid NOT NULL DEFAULT gen_random_uuid(),
      shipped_as text,
      placed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS notes (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
  `);
  const carrier = process.env.CARRIER_URL ?? "";
  const server = createServer(async (request, response) => {
    const answer = (status: number, value: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    try {
      const path = request.url ?? "/";
      const body = await request.toArray().then((chunks) => Buffer.concat(chunks).toString("utf8"));
      const ship = /^\/orders\/(\d+)\/ship$/.exec(path);
      if (request.method === "GET" && path === "/orders") return answer(200, await version.list(pool));
      if (request.method === "POST" && path === "/orders") return answer(201, await version.place(pool, JSON.parse(body)));
      if (request.method === "POST" && ship) return answer(200, await version.ship(pool, Number(ship[1]), carrier));
      if (request.method === "POST" && path === "/announce") return answer(200, await version.announce(carrier));
      if (path === "/") return answer(200, { open: true });
      return answer(404, { error: "not found" });
    } catch (error) {
      answer(503, { error: error instanceof Error ? error.message : String(error) });
    }
  });
  server.listen(Number(process.env.PORT), "127.0.0.1");
  process.once("SIGTERM", () => {
    server.close();
    server.closeAllConnections();
    void pool.end();
  });
}

export async function loop(pool: pg.Pool): Promise<unknown> {
  const { rows: orders } = await pool.query("SELECT id, customer_id, total, placed_at FROM orders ORDER BY id DESC LIMIT 20");
  const listed = [];
  for (const order of orders) {
    const { rows } = await pool.query("SELECT name FROM customers WHERE id = $1", [order.customer_id]);
    listed.push({ ...order, customer: rows[0]?.name ?? null });
  }
  return listed;
}

export async function batch(pool: pg.Pool): Promise<{ id: number; customer: string | null }[]> {
  const { rows: orders } = await pool.query("SELECT id, customer_id, total, placed_at FROM orders ORDER BY id DESC LIMIT 20");
  const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = ANY ($1)", [
    orders.map((order) => order.customer_id),
  ]);
  const names = new Map(rows.map((row) => [row.id, row.name]));
  return orders.map((order) => ({ ...order, customer: names.get(order.customer_id) ?? null }));
}

export async function place(pool: pg.Pool, order: { customerId: number; total: number }): Promise<unknown> {
  const { rows } = await pool.query(
    "INSERT INTO orders (customer_id, total) VALUES ($1, $2) RETURNING id, doubled, token, placed_at",
    [order.customerId, order.total],
  );
  return rows[0];
}

export async function shipOnce(pool: pg.Pool, id: number, carrier: string): Promise<unknown> {
  const response = await fetch(`${carrier}/shipments/${id}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ order: id, weight: 100 }),
  });
  if (!response.ok) throw new Error(`carrier answered ${response.status}`);
  const { code } = (await response.json()) as { code: string };
  await pool.query("UPDATE orders SET shipped_as = $2 WHERE id = $1", [id, code]);
  return { code };
}

export async function tell(partner: string, path: string): Promise<unknown> {
  const response = await fetch(`${partner}${path}`, { method: "POST", body: "{}" });
  return response.json();
}

export const original: Version = {
  list: loop,
  place,
  ship: shipOnce,
  announce: async (partner) => [await tell(partner, "/mail"), await tell(partner, "/event")],
};
