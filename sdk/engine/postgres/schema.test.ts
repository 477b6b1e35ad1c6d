// Tables of an earlier version are carried on: finished runs can be read, unfinished ones go on where they stood.
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../../log.ts";
import { createRegistry } from "../../registry.ts";
import { workflow } from "../../workflows/workflow.ts";
import { openEngine } from "../open-engine.ts";
import { type PostgresFixture, startPostgres } from "../postgres.fixture.ts";
import { migrate } from "./schema.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());

test("runs and steps of the tables before the journal are kept, and an unfinished run does not repeat its steps", async () => {
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  await migrate(pool, 1);
  const ran: string[] = [];
  const w = workflow("old")
    .input(z.object({ id: z.string() }))
    .run("one", () => {
      ran.push("one");
      return { first: new Date(0) };
    })
    .run("two", ({ first }) => {
      ran.push("two");
      return { second: first.getTime() };
    });
  const insert = (id: string, state: string, output: string | null, error: string | null) =>
    pool.query(
      `INSERT INTO tsdev.runs (id, workflow, version, ir, input, scope, input_digest, state, owner, lease_until, output, error, finished_at)
       VALUES ($1, 'old', $2, $3, '{"json":{"id":"a"}}', '{"json":{"id":"a"}}', 'd', $4, 'gone', now() - interval '1 s', $5, $6,
               CASE WHEN $4 <> 'running' THEN now() END)`,
      [id, w.version, JSON.stringify(w.ir), state, output, error],
    );
  const shape = (code: string) => JSON.stringify({ code, message: "m", fix: "f" });
  await insert("done", "done", '{"json":{"id":"a","second":5}}', null);
  await insert("failed", "failed", null, shape("step_failed"));
  await insert("canceled", "failed", null, shape("canceled"));
  await insert("open", "running", null, null);
  await pool.query(
    `INSERT INTO tsdev.steps (run_id, node, epoch, output)
     VALUES ('open', 'one', 1, '{"json":{"first":"1970-01-01T00:00:00.007Z"},"meta":{"values":{"first":["Date"]},"v":1}}'),
            ('done', 'one', 1, '{"json":{}}'), ('done', 'two', 1, '{"json":{}}')`,
  );
  const engine = await openEngine({ databaseUrl: postgres.url, log: silent });
  expect(await engine.run("done")).toMatchObject({
    state: "done",
    output: { second: 5 },
    finishedSteps: ["one", "two"],
  });
  expect(await engine.run("failed")).toMatchObject({ state: "failed", error: { code: "step_failed" } });
  expect(await engine.run("canceled")).toMatchObject({ state: "canceled" });
  expect(await engine.work(createRegistry([w]))).toBe(1);
  const types: string[] = [];
  for await (const event of engine.events("open")) types.push(event.type);
  expect(types).toEqual(["run.started", "step.finished", "run.resumed", "step.finished", "run.done"]);
  expect((await engine.run("open"))?.output).toEqual({ id: "a", first: new Date(7), second: 7 });
  expect(ran).toEqual(["two"]);
  await engine.close();
  await pool.end();
});
