// Databases of apps: repeatable, alike over restarts, and closed to each other.
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TemporaryPostgres, temporaryPostgres } from "../store/postgres-fixture.ts";
import { AppDatabases } from "./app-databases.ts";

const key = "a key of more than sixteen characters";
let postgres: TemporaryPostgres;
let databases: AppDatabases;

beforeAll(async () => {
  postgres = await temporaryPostgres();
  databases = new AppDatabases({ adminUrl: postgres.adminUrl, key });
});
afterAll(() => postgres[Symbol.asyncDispose]());

async function query(url: string, sql: string): Promise<Array<Record<string, unknown>>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test("asking again, at once or after a restart, gives the same working address", async () => {
  const answers = await Promise.all([databases.ensure("shop_production"), databases.ensure("shop_production")]);
  const later = await new AppDatabases({ adminUrl: postgres.adminUrl, key }).ensure("shop_production");
  expect(new Set([...answers, later].map((answer) => answer.url)).size).toBe(1);
  await query(later.url, "CREATE TABLE orders (id int)");
  expect(await query(later.url, "SELECT current_user AS role")).toEqual([{ role: "shop_production" }]);
});

test("an app cannot connect to another app's database, nor to the control plane's", async () => {
  const { url } = await databases.ensure("app_one");
  await databases.ensure("app_two");
  for (const database of ["app_two", "tsdev", "postgres", "template1"]) {
    const other = new URL(url);
    other.pathname = `/${database}`;
    await expect(query(other.href, "SELECT 1")).rejects.toThrow(/permission denied for database/);
  }
});

test("an app's role cannot make roles or databases, nor read files", async () => {
  const { url } = await databases.ensure("app_one");
  await expect(query(url, "CREATE DATABASE more")).rejects.toThrow(/permission denied/);
  await expect(query(url, "CREATE ROLE more")).rejects.toThrow(/permission denied/);
  await expect(query(url, "SELECT pg_read_file('/etc/hostname')")).rejects.toThrow(/permission denied/);
});

test("a name with a dash and capitals is a name as any other", async () => {
  const name = "Shop-preview_1";
  const { url } = await databases.ensure(name);
  expect(await query(url, "SELECT current_database() AS name, current_user AS role")).toEqual([{ name, role: name }]);
  await databases.drop(name);
  expect(await databases.names()).not.toContain(name);
});

test("dropping ends open connections and is safe to repeat", async () => {
  const { url } = await databases.ensure("short_lived");
  const client = new pg.Client({ connectionString: url });
  const ended = new Promise((settle) => client.on("error", settle));
  await client.connect();
  await databases.drop("short_lived");
  await ended;
  await databases.drop("short_lived");
  await expect(query(url, "SELECT 1")).rejects.toThrow();
});

test("a database that was not made for an app is not dropped", async () => {
  await expect(databases.drop("tsdev")).rejects.toMatchObject({ code: "conflict" });
  expect(await query(postgres.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("an administrator that is no superuser will do", async () => {
  await query(postgres.adminUrl, "CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'secret'");
  await query(postgres.adminUrl, "GRANT CONNECT ON DATABASE postgres TO manager");
  const admin = new URL(postgres.adminUrl);
  admin.username = "manager";
  admin.password = "secret";
  const managed = new AppDatabases({ adminUrl: admin.href, key });
  const { url } = await managed.ensure("managed");
  expect(await managed.ensure("managed")).toEqual({ url });
  expect(await query(url, "SELECT current_user AS role")).toEqual([{ role: "managed" }]);
  await managed.drop("managed");
});

test("what is SQL, empty or would be cut is no name", async () => {
  for (const name of ['x"; DROP DATABASE tsdev; --', "", "x".repeat(64), "a b", "a\n\nb"]) {
    await expect(databases.ensure(name)).rejects.toMatchObject({ code: "invalid_input", path: "name" });
    await expect(databases.drop(name)).rejects.toMatchObject({ code: "invalid_input" });
  }
  expect(await query(postgres.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});
