// The watch over the embedded Postgres: a server that ends is there again, and whoever asks meanwhile is told so.
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type KeptPostgres, keepPostgres } from "./keep-postgres.ts";
import { type TemporaryPostgres, temporaryPostgres } from "./postgres-fixture.ts";
import { openStore, type Store } from "./store.ts";

let postgres: TemporaryPostgres;
let store: Store;
let kept: KeptPostgres;
let said: string[];

beforeEach(async () => {
  postgres = await temporaryPostgres();
  store = await openStore({ url: postgres.url });
  said = [];
  kept = keepPostgres({ directory: postgres.directory, log: (message) => said.push(message) });
});

afterEach(async () => {
  await store.close();
  await kept.close();
  await postgres[Symbol.asyncDispose]();
});

const organizations = () => store.db.selectFrom("organizations").selectAll().execute();

test("a server that was killed is there again at the same address, with its rows", async () => {
  await store.db.insertInto("organizations").values({ id: "org_1", name: "one" }).execute();
  // no watch at first, so that the time without a server is as long as this test wants
  await kept.close();
  process.kill(postgres.pid, "SIGKILL");
  // connections that were open break in their own way; a new one says what is the matter
  await vi.waitFor(
    async () =>
      expect(organizations()).rejects.toMatchObject({
        code: "unavailable",
        fix: expect.stringContaining("try again"),
      }),
    { timeout: 20_000 },
  );
  kept = keepPostgres({ directory: postgres.directory, log: (message) => said.push(message) });
  const rows = await vi.waitFor(organizations, { timeout: 30_000 });
  expect(rows).toMatchObject([{ id: "org_1" }]);
  expect(said).toEqual(["Postgres has ended; it is started again"]);
});

test("a server that is stopped after the watch has ended stays stopped", async () => {
  await kept.close();
  await postgres.stop();
  // longer than a look of a watch that went on
  await delay(1500);
  await expect(organizations()).rejects.toMatchObject({ code: "unavailable" });
  expect(said).toEqual([]);
});
