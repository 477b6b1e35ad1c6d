// Fixture database: a real Postgres with the tables of the codemod fixtures; only tests import it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { openEmbeddedPostgres } from "../../platform/store/embedded-postgres.ts";

const schema = `
  CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, city text, email text UNIQUE);
  CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer, document uuid, account bigint, placed date);
  CREATE TABLE lines (order_id integer NOT NULL, position integer NOT NULL, sku text NOT NULL, UNIQUE (order_id, position));
  CREATE TABLE notes (id integer PRIMARY KEY, customer_id integer NOT NULL, body text NOT NULL);
  CREATE TABLE documents (id uuid PRIMARY KEY, title text NOT NULL);
  CREATE TABLE accounts (id bigint PRIMARY KEY, balance numeric NOT NULL);
  INSERT INTO customers SELECT n, 'customer ' || n, CASE WHEN n % 3 = 0 THEN NULL ELSE 'city ' || n END, n || '@example.com'
    FROM generate_series(1, 40) AS n;
  INSERT INTO documents SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'document ' || n
    FROM generate_series(1, 20) AS n;
  INSERT INTO accounts SELECT 9007199254740990 + n, n * 1.10 FROM generate_series(1, 20) AS n;
  -- Duplicates (n % 7), nulls (every fifth) and keys without a row (900 and more).
  INSERT INTO orders SELECT n, CASE WHEN n % 5 = 0 THEN NULL WHEN n % 11 = 0 THEN 900 + n ELSE 1 + n % 7 END,
      CASE WHEN n % 4 = 0 THEN NULL ELSE ('00000000-0000-4000-8000-' || lpad((n % 25)::text, 12, '0'))::uuid END,
      9007199254740990 + n % 25, date '2026-01-01' + n
    FROM generate_series(1, 60) AS n;
  INSERT INTO lines SELECT 1 + n % 50, n, 'sku ' || n FROM generate_series(1, 200) AS n;
  INSERT INTO notes SELECT n, 1 + (n * 7) % 9, 'note ' || n FROM generate_series(1, 80) AS n;
`;

export interface FixtureDatabase extends AsyncDisposable {
  url: string;
  pool: pg.Pool;
  /** One session, for `sessionSqlTypes`. */
  client: pg.Client;
}

export async function openFixtureDatabase(): Promise<FixtureDatabase> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-patches-"));
  const server = await openEmbeddedPostgres({ directory });
  const admin = new pg.Client(server.adminUrl);
  await admin.connect();
  await admin.query("CREATE DATABASE fixtures");
  await admin.end();
  const url = new URL(server.adminUrl);
  url.pathname = "/fixtures";
  const client = new pg.Client(url.href);
  await client.connect();
  await client.query(schema);
  const pool = new pg.Pool({ connectionString: url.href, max: 2 });
  // At the end the server may close a connection before the pool has; that is no failure of a test.
  pool.on("connect", (connection) => connection.on("error", () => {}));
  return {
    url: url.href,
    pool,
    client,
    async [Symbol.asyncDispose]() {
      await pool.end();
      await client.end();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
