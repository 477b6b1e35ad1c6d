// A worker that cannot prolong its lease does nothing more: no step and no undoing begins once another may have the run.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { openEngine } from "./open-engine.ts";
import { PostgresStore } from "./postgres/postgres-store.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";
import { RunEngine } from "./run-engine.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const leaseMs = 400;
let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres?.stop());

/** A worker whose leases are not prolonged, and that hears neither of `node`'s row nor of acts, until the gates are open. */
async function cutOff(node: string) {
  const store = await PostgresStore.open({ databaseUrl: postgres.url, leaseMs, connections: 4 });
  const [renewing, hearing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const renew = store.renew.bind(store);
  const append = store.append.bind(store);
  const standing = store.standing.bind(store);
  store.standing = async (runId) => {
    const found = await standing(runId);
    await hearing.promise;
    return found;
  };
  store.renew = async (leases) => {
    await renewing.promise;
    return renew(leases);
  };
  store.append = async (lease, row) => {
    await append(lease, row);
    if (row.node === node && row.type === "step.finished") await hearing.promise;
  };
  const parts = { closeMs: 1_000, maxRunning: 10, maxQueued: 100, retainDays: 30, log: silent };
  return { engine: new RunEngine({ store, leaseMs, ...parts }), renewing, hearing };
}

const began: string[] = [];
let who = "cut off";
const step = (id: string) =>
  procedure({
    name: id,
    input: z.object({ id: z.string() }),
    output: z.object({ [id]: z.string() }),
    handler: async () => {
      began.push(`${id} by ${who}`);
      return { [id]: "" };
    },
  });

test("what another worker has done meanwhile is not done again", async () => {
  const { engine, renewing, hearing } = await cutOff("one");
  const w = workflow("two-steps")
    .input(z.object({ id: z.string() }))
    .step(step("one"))
    .step(step("two"));
  const result = engine.execute(w, { id: "a" }, { runId: "two-steps" });
  await vi.waitFor(() => expect(began).toEqual(["one by cut off"]));
  who = "other";
  const other = await openEngine({ databaseUrl: postgres.url, leaseMs, log: silent });
  await other.work(createRegistry([w]));
  await vi.waitFor(async () => expect((await other.run("two-steps"))?.state).toBe("done"), 10_000);
  who = "cut off";
  hearing.resolve();
  renewing.resolve();
  await result;
  // Its lease is gone; it has nothing to wait for any more.
  await engine.close();
  await other.close();
  expect(began).toEqual(["one by cut off", "two by other"]);
});

test("a lease that nobody took is prolonged, and the run goes on", async () => {
  began.length = 0;
  const { engine, renewing, hearing } = await cutOff("first");
  const w = workflow("nobody-else")
    .input(z.object({ id: z.string() }))
    .step(step("first"))
    .step(step("second"));
  const result = engine.execute(w, { id: "a" }, { runId: "nobody-else" });
  await vi.waitFor(() => expect(began).toHaveLength(1));
  // By the database's clock, which begins later than the worker's own.
  const watch = await PostgresStore.open({ databaseUrl: postgres.url, leaseMs, connections: 1 });
  const isDue = async () => (await watch.due(["nobody-else"], { runIds: [], versions: [] }, 1)).length === 1;
  await vi.waitFor(async () => expect(await isDue()).toBe(true), 10_000);
  hearing.resolve();
  await engine.run("nobody-else");
  expect(began).toEqual(["first by cut off"]);
  renewing.resolve();
  await result;
  expect(began).toEqual(["first by cut off", "second by cut off"]);
  await engine.close();
  await watch.close();
});

test("what another worker has undone is not undone again", async () => {
  began.length = 0;
  const { engine, renewing, hearing } = await cutOff("none");
  const w = workflow("undone-elsewhere")
    .input(z.object({ id: z.string() }))
    .step(step("one"))
    .compensate(step("undo"))
    .run("hangs", () => {
      began.push(`hangs by ${who}`);
      return new Promise<Record<string, never>>(() => {});
    });
  const runId = "undone-elsewhere";
  const result = engine.execute(w, { id: "a" }, { runId });
  await vi.waitFor(() => expect(began).toEqual(["one by cut off", "hangs by cut off"]));
  who = "other";
  const other = await openEngine({ databaseUrl: postgres.url, leaseMs, log: silent });
  await other.cancel(runId);
  await other.work(createRegistry([w]));
  await vi.waitFor(async () => expect((await other.run(runId))?.state).toBe("canceled"), 10_000);
  who = "cut off";
  hearing.resolve();
  // The cancel is heard of before the lease's end is.
  await engine.run(runId);
  renewing.resolve();
  await expect(result).rejects.toMatchObject({ code: "canceled" });
  await engine.close();
  await other.close();
  expect(began).toEqual(["one by cut off", "hangs by cut off", "undo by other"]);
});
