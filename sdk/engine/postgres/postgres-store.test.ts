// The Postgres store passes the contract of run stores and holds its fence against takeovers and crashes.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresFixture, startPostgres } from "../postgres.fixture.ts";
import { runStoreContract } from "../run-store.contract.ts";
import { LeaseLost, type NewRun, type Row } from "../run-store.ts";
import { PostgresStore } from "./postgres-store.ts";

let postgres: PostgresFixture;
const stores: PostgresStore[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await postgres?.stop();
});

async function open(leaseMs = 60_000, databaseUrl = postgres.url): Promise<PostgresStore> {
  const store = await PostgresStore.open({ databaseUrl, leaseMs, connections: 3 });
  stores.push(store);
  return store;
}

const newRun = (id: string): NewRun => ({
  id,
  workflow: "w",
  version: "v1",
  ir: { ir: 1, name: "w", nodes: [] },
  input: {},
  scope: {},
  inputDigest: "d",
  traceparent: null,
  origin: { kind: "direct" },
  principal: null,
  slotKey: null,
  parent: null,
});
const take = { take: true, delayMs: 0 };
const finished = (seq: number, node: string, output: unknown): Row => ({ seq, type: "step.finished", node, output });
const pathsOf = async (store: PostgresStore, id: string) =>
  (await store.history([id], false)).get(id)!.flatMap(({ type, node }) => (type === "step.finished" ? [node] : []));

describe("postgres store", () => {
  runStoreContract(open);

  test("ten processes that open an empty database at once make its tables once", async () => {
    const url = await postgres.database();
    const opened = await Promise.all(Array.from({ length: 10 }, () => open(60_000, url)));
    await expect(Promise.all(opened.map((store) => store.check()))).resolves.toBeDefined();
  });

  test("a step that races with a takeover in flight waits for it and is fenced off", async () => {
    const store = await open();
    await store.begin(newRun("race"), take);
    const other = new pg.Client({ connectionString: postgres.url });
    await other.connect();
    await other.query("BEGIN");
    await other.query("UPDATE tsdev.runs SET lease_epoch = lease_epoch + 1 WHERE id = 'race'");
    const write = store.append({ runId: "race", epoch: 1 }, finished(2, "n", 1));
    const verdict = expect(write).rejects.toThrow(LeaseLost);
    // Whichever comes first: it waits as it should, or it has been written.
    await Promise.race([
      waitForLock(other),
      write.then(
        () => {},
        () => {},
      ),
    ]);
    await other.query("COMMIT");
    await other.end();
    await verdict;
    expect(await pathsOf(store, "race")).toEqual([]);
  });

  test("in a batch, only the row of the run whose takeover is in flight is fenced off", async () => {
    const store = await open();
    for (const id of ["batch-a", "batch-b", "batch-c"]) await store.begin(newRun(id), take);
    const other = new pg.Client({ connectionString: postgres.url });
    await other.connect();
    await other.query("BEGIN");
    await other.query("UPDATE tsdev.runs SET lease_epoch = lease_epoch + 1 WHERE id = 'batch-b'");
    const write = (id: string) => store.append({ runId: id, epoch: 1 }, finished(2, "n", 1));
    const writes = Promise.allSettled(["batch-c", "batch-b", "batch-a"].map(write));
    await Promise.race([waitForLock(other), writes]);
    await other.query("COMMIT");
    await other.end();
    expect((await writes).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await pathsOf(store, "batch-b")).toEqual([]);
    expect([await pathsOf(store, "batch-a"), await pathsOf(store, "batch-c")]).toEqual([["n"], ["n"]]);
  });

  test.each([1, 3])("of %i rows, what a try has committed whose answer was lost counts as written", async (count) => {
    const store = await open();
    const ids = Array.from({ length: count }, (_none, index) => `again-${count}-${index}`);
    for (const id of ids) await store.begin(newRun(id), take);
    const write = (id: string) => store.append({ runId: id, epoch: 1 }, finished(2, "n", 1));
    await write(ids[0]!);
    await Promise.all(ids.map(write));
    for (const id of ids) expect(await pathsOf(store, id)).toEqual(["n"]);
  });

  test("steps are written through a crash and restart of Postgres, none lost", async () => {
    const store = await open();
    await store.begin(newRun("crash"), take);
    const writes: Promise<void>[] = [];
    for (let index = 0; index < 50; index++) {
      writes.push(store.append({ runId: "crash", epoch: 1 }, finished(index + 2, `n${index}`, index)));
      if (index === 25) await writes[0];
    }
    const restarted = postgres.crashAndRestart();
    for (let index = 50; index < 100; index++) {
      writes.push(store.append({ runId: "crash", epoch: 1 }, finished(index + 2, `n${index}`, index)));
    }
    await restarted;
    await Promise.all(writes);
    expect(await pathsOf(store, "crash")).toEqual(Array.from({ length: 100 }, (_none, index) => `n${index}`));
  });

  test("a database that does not answer is an error with a fix", async () => {
    await expect(open(1_000, "postgres://nobody@127.0.0.1:1/none")).rejects.toMatchObject({ code: "unavailable" });
  });
});

/** Until the step's insert waits for the row that the takeover holds. */
async function waitForLock(client: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    if (rows.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
