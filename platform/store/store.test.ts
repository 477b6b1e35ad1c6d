// The store brings its schema up to date, also when two processes do so at once.
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "./id.ts";
import { type TemporaryPostgres, temporaryPostgres } from "./postgres-fixture.ts";
import { openStore } from "./store.ts";

let postgres: TemporaryPostgres;
beforeAll(async () => {
  postgres = await temporaryPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("four openers at once on an empty database each get the whole schema", async () => {
  const stores = await Promise.all(Array.from({ length: 4 }, () => openStore({ url: postgres.url })));
  try {
    for (const store of stores) {
      expect(await store.db.selectFrom("deployments").selectAll().execute()).toEqual([]);
    }
    const done = await sql<{ name: string }>`SELECT name FROM kysely_migration`.execute(stores[0]!.db);
    expect(done.rows.map((row) => row.name)).toEqual(["0001-core", "0002-token-expiry", "0003-environment-telemetry"]);
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
});

test("a store opened again keeps its rows", async () => {
  const id = newId("org");
  const first = await openStore({ url: postgres.url });
  await first.db.insertInto("organizations").values({ id, name: "acme" }).execute();
  await first.close();

  const second = await openStore({ url: postgres.url });
  const rows = await second.db.selectFrom("organizations").select("name").where("id", "=", id).execute();
  expect(rows).toEqual([{ name: "acme" }]);
  await second.close();
});

test("an idle connection that the server ends does not end the process", async () => {
  const store = await openStore({ url: postgres.url });
  await sql`SELECT 1`.execute(store.db);
  const other = await openStore({ url: postgres.adminUrl.replace(/\/postgres$/, "/tsdev") });
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'tsdev'`.execute(
    other.db,
  );
  const answer = async () => (await sql<{ one: number }>`SELECT 1 AS one`.execute(store.db)).rows;
  await expect.poll(() => answer().catch(() => "gone")).toEqual([{ one: 1 }]);
  await Promise.all([store.close(), other.close()]);
});

test("a server that is not there ends in one error with a fix", async () => {
  await expect(openStore({ url: "postgresql://nobody:secret@127.0.0.1:1/tsdev" })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.not.stringContaining("secret"),
    fix: expect.stringContaining("DATABASE_URL"),
  });
});
