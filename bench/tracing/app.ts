// App of the tracing benchmark: Hono and pg, one query and five, with its own CPU time on request of the parent process.
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
await pool.query("SELECT 1");

async function customer(id: number): Promise<unknown> {
  const { rows } = await pool.query("SELECT * FROM customers WHERE id = $1", [id]);
  return rows[0];
}

const app = new Hono();
app.get("/one", async (c) => c.json({ customer: await customer(7) }));
app.get("/five", async (c) => {
  const customers: unknown[] = [];
  for (let id = 1; id <= 5; id++) customers.push(await customer(id));
  return c.json({ customers });
});

const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, () =>
  process.send?.({ port: (server.address() as AddressInfo).port }),
);
process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
process.on("disconnect", () => process.exit());
