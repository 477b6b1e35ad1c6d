// Databases of a proof, on a real server: copy, scaled copy, change list, proxy, and what is left when a prover dies.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "../../platform/store/embedded-postgres.ts";
import { openChangeList } from "./change-list.ts";
import { cleanUpProofs } from "./clean-up.ts";
import { copyRows } from "./database-copy.ts";
import { startDatabaseProxy } from "./database-proxy.ts";
import { openClient, ProofServer } from "./proof-server.ts";
import { scaleRows } from "./scale-rows.ts";

const schema = `
  CREATE TABLE customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, boss uuid REFERENCES customers);
  CREATE TABLE orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer uuid NOT NULL REFERENCES customers,
    total integer NOT NULL, twice integer GENERATED ALWAYS AS (total * 2) STORED, "odd ""name" jsonb);
  CREATE TABLE lines (order_id integer REFERENCES orders, place smallint, PRIMARY KEY (order_id, place));
  CREATE TABLE rates (day date PRIMARY KEY, rate numeric);
  CREATE TABLE kysely_migration (name text PRIMARY KEY);
  CREATE SCHEMA tsdev;
  CREATE TABLE tsdev.runs (id integer PRIMARY KEY);`;

let directory: string;
let postgres: EmbeddedPostgres;
let sourceUrl: string;
let source: pg.Client;
const never = new AbortController().signal;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "proof-databases-"));
  postgres = await openEmbeddedPostgres({ directory });
  const admin = await openClient(postgres.adminUrl);
  await admin.query("CREATE DATABASE shop_production");
  await admin.end();
  const url = new URL(postgres.adminUrl);
  url.pathname = "/shop_production";
  sourceUrl = url.href;
  source = await openClient(sourceUrl);
  await source.query(schema);
  await source.query(`
    INSERT INTO customers (email) SELECT 'c' || n || '@shop.test' FROM generate_series(1, 30) n;
    UPDATE customers SET boss = (SELECT id FROM customers WHERE email = 'c1@shop.test') WHERE email <> 'c1@shop.test';
    INSERT INTO orders (customer, total, "odd ""name") SELECT id, 7, '{"a": 1}' FROM customers;
    INSERT INTO lines SELECT id, 1 FROM orders;
    INSERT INTO rates VALUES ('2026-01-01', 1.5);
    INSERT INTO kysely_migration VALUES ('0001');
    INSERT INTO tsdev.runs VALUES (1);`);
});
afterAll(async () => {
  await source?.end();
  await postgres?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function leftovers(): Promise<string[]> {
  const { rows } = await source.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'proof\\_%'
     UNION ALL SELECT slot_name FROM pg_replication_slots UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'proof\\_%'`,
  );
  return rows.map((row) => row.name);
}

async function copy(server: ProofServer): Promise<string> {
  const name = await server.createEmpty("template");
  const target = await server.connect(name);
  await target.query(schema);
  await target.query("INSERT INTO customers (email) VALUES ('seeded at start')");
  const reader = await openClient(sourceUrl);
  const result = await copyRows(reader, target, never);
  await reader.end();
  expect(result).toMatchObject({ rows: 30 + 30 + 30 + 1 + 1, left: [] });
  await server.disconnect(target);
  await server.freeze(name);
  return name;
}

test("a copy has every row, goes on with the next id, and leaves the workflow engine's tables empty, while the source is in use", async () => {
  const server = await ProofServer.open(postgres.adminUrl, "copy");
  await source.query("BEGIN; INSERT INTO rates VALUES ('2030-01-01', 1)");
  const template = await copy(server);
  await source.query("ROLLBACK");
  const client = await server.connect(await server.clone(template, "one"));
  const sum =
    "SELECT count(*)::int AS n, sum(twice)::int AS twice FROM orders JOIN customers ON customer = customers.id";
  expect((await client.query(sum)).rows).toEqual([{ n: 30, twice: 30 * 14 }]);
  expect((await client.query("SELECT email FROM customers WHERE email LIKE 'seeded%'")).rows).toEqual([]);
  expect((await client.query("SELECT * FROM tsdev.runs")).rows).toEqual([]);
  const next = await client.query(
    "INSERT INTO orders (customer, total) SELECT id, 1 FROM customers LIMIT 1 RETURNING id",
  );
  expect(next.rows).toEqual([{ id: 31 }]);
  await server.close();
  expect(await leftovers()).toEqual([]);
  expect((await source.query("SELECT count(*)::int AS n FROM orders")).rows).toEqual([{ n: 30 }]);
});

test("ten times the rows: references stay within their copy, and what cannot grow is said", async () => {
  const server = await ProofServer.open(postgres.adminUrl, "scale");
  const client = await server.connect(await server.clone(await copy(server), "large"));
  const result = await scaleRows(client, 10, never);
  expect(result).toMatchObject({ tables: 3, rows: 9 * 90 });
  expect(result.left).toEqual([expect.stringContaining("public.rates could not be multiplied")]);
  const counts = await client.query(`SELECT (SELECT count(*) FROM customers)::int AS customers,
    (SELECT count(*) FROM orders JOIN customers c ON customer = c.id)::int AS orders,
    (SELECT count(DISTINCT customer) FROM orders)::int AS buyers,
    (SELECT count(*) FROM lines JOIN orders ON order_id = id)::int AS lines,
    (SELECT count(*) FROM customers c JOIN customers b ON c.boss = b.id)::int AS bosses,
    (SELECT count(*) FROM kysely_migration)::int AS migrations`);
  expect(counts.rows[0]).toEqual({ customers: 300, orders: 300, buyers: 300, lines: 300, bosses: 290, migrations: 1 });
  const next = await client.query(
    "INSERT INTO orders (customer, total) SELECT id, 1 FROM customers LIMIT 1 RETURNING id",
  );
  expect(next.rows).toEqual([{ id: 301 }]);
  await server.close();
});

test("the change list shows inserts, updates and deletes of one request after another, and sequences", async () => {
  const server = await ProofServer.open(postgres.adminUrl, "changes");
  const database = await server.clone(await copy(server), "one");
  const client = await server.connect(database);
  const list = await openChangeList(await server.connect(database), database);
  const before = await list.sequences();
  await client.query("INSERT INTO rates VALUES ('2026-02-02', 2); INSERT INTO tsdev.runs VALUES (9)");
  expect(await list.read()).toEqual([
    { table: "public.rates", key: "day='2026-02-02'", text: "INSERT: day[date]:'2026-02-02' rate[numeric]:2" },
  ]);
  await client.query("UPDATE rates SET rate = 3 WHERE rate = 2; DELETE FROM rates WHERE rate = 3");
  expect((await list.read()).map((change) => change.text.slice(0, 6))).toEqual(["UPDATE", "DELETE"]);
  expect(await list.read()).toEqual([]);
  expect(await list.sequences()).toEqual(before);
  await client.query("SELECT nextval('orders_id_seq')");
  expect(await list.sequences()).not.toEqual(before);
  await server.close();
  expect(await leftovers()).toEqual([]);
});

test("the proxy counts round trips, refuses TLS and delays each of them once, in parallel where the app is", async () => {
  const server = await ProofServer.open(postgres.adminUrl, "proxy");
  const database = await server.clone(await copy(server), "one");
  const proxy = await startDatabaseProxy(server.address);
  const pool = new pg.Pool({ connectionString: server.appUrl(database, proxy.port), max: 4 });
  await Promise.all([1, 2, 3, 4].map(() => pool.query("SELECT pg_sleep(0.05)")));
  const start = proxy.roundTrips();
  for (let i = 0; i < 10; i += 1) await pool.query("SELECT $1::int", [i]);
  await pool.query("SELECT 1; SELECT 2");
  await pool.query("SELECT length($1)", ["x".repeat(3_000_000)]);
  expect(proxy.roundTrips() - start).toBe(12);
  expect(proxy.pending()).toBe(0);
  proxy.setDelay(20);
  const one = performance.now();
  await pool.query("SELECT $1::int", [1]);
  expect(performance.now() - one).toBeGreaterThanOrEqual(20);
  const many = performance.now();
  await Promise.all([1, 2, 3, 4].map((i) => pool.query("SELECT $1::int", [i])));
  expect(performance.now() - many).toBeLessThan(60);
  const tls = new pg.Client({ connectionString: server.appUrl(database, proxy.port), ssl: true });
  await expect(tls.connect()).rejects.toThrow(/SSL/);
  await pool.end();
  await proxy.close();
  await server.close();
});

test("kill -9 of a prover leaves nothing after the clean-up, and a living proof is left alone", async () => {
  const living = await ProofServer.open(postgres.adminUrl, "living");
  await living.createEmpty("template");
  const child = fork(join(import.meta.dirname, "__fixtures__/dying-prover.ts"), [postgres.adminUrl], {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  await once(child, "message");
  expect((await leftovers()).length).toBeGreaterThan(4);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await cleanUpProofs({ adminUrl: postgres.adminUrl })).toBe(1);
  expect((await leftovers()).sort()).toEqual([living.role, living.name("template")]);
  await living.close();
  expect(await cleanUpProofs({ adminUrl: postgres.adminUrl })).toBe(0);
  expect(await leftovers()).toEqual([]);
});
