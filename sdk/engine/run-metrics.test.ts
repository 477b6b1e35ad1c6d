// Metrics of runs through OpenTelemetry's API: what started and ended here, and how many are unfinished, in both stores.
import { metrics } from "@opentelemetry/api";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { LeanMeterProvider } from "../metrics/meter.ts";
import { createRegistry } from "../registry.ts";
import { workflow } from "../workflows/workflow.ts";
import { openEngine } from "./open-engine.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const provider = new LeanMeterProvider();
metrics.setGlobalMeterProvider(provider);
let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());

/** Values of a metric by its attributes that matter here. */
function values(name: string, of: string): Record<string, number> {
  const series = provider.collect().flatMap((scope) => scope.series.filter((one) => one.name === name));
  return Object.fromEntries(
    series
      .flatMap(({ points }) => [...points])
      .filter(({ attributes }) => attributes["tsdev.workflow.name"] === of)
      .map(({ attributes, value, histogram }) => [
        [attributes["tsdev.run.state"], attributes["error.type"], attributes["tsdev.origin.kind"]]
          .filter(Boolean)
          .join(" "),
        histogram?.count ?? value,
      ]),
  );
}

test.each(["memory", "postgres"])(
  "%s: runs count when they start and when they end, by how, and what is unfinished by state",
  async (kind) => {
    const named = `pay-${kind}`;
    const pay = workflow(named)
      .input(z.object({ id: z.string() }))
      .run("check", ({ id }) => {
        if (id === "bad") throw new Error("no");
        return { checked: true };
      })
      .when(
        "asks",
        ({ id }) => id === "ask",
        (then) => then.approve("manager"),
      );
    const engine = await openEngine({ log: silent, ...(kind === "postgres" ? { databaseUrl: postgres.url } : {}) });
    await engine.work(createRegistry([pay]));
    await engine.execute(pay, { id: "a" });
    await engine.execute(pay, { id: "b" });
    await expect(engine.execute(pay, { id: "bad" })).rejects.toThrow();
    const { runId } = await engine.start(pay, { id: "ask" });
    await engine.start(pay, { id: "later" }, { delayMs: 3_600_000 });
    await expect.poll(async () => (await engine.run(runId))?.state).toBe("waiting");
    await expect.poll(() => values("tsdev.workflow.run.unfinished", named)).toEqual({ queued: 1, waiting: 1 });
    expect(values("tsdev.workflow.run.due", named)).toEqual({ "": 0 });
    expect(values("tsdev.workflow.run.started", named)).toEqual({ direct: 4 });
    expect(values("tsdev.workflow.run.duration", named)).toEqual({ done: 2, "failed step_failed": 1 });
    await engine.cancel(runId);
    await expect
      .poll(() => values("tsdev.workflow.run.duration", named))
      .toEqual({ done: 2, "failed step_failed": 1, "canceled canceled": 1 });
    await expect.poll(() => values("tsdev.workflow.run.unfinished", named)).toEqual({ queued: 1 });
    await engine.close();
    expect(values("tsdev.workflow.run.unfinished", named)).toEqual({ queued: 1 });
  },
);

test("counting the unfinished among many finished runs reads indexes only", async () => {
  const engine = await openEngine({ log: silent, databaseUrl: postgres.url });
  const pool = new pg.Pool({ connectionString: postgres.url, max: 1 });
  pool.on("error", () => {});
  await pool.query(
    `INSERT INTO tsdev.runs (id, workflow, version, ir, input, scope, input_digest, owner, state, finished_at)
     SELECT 'f' || n, 'many', 'v', '{}', '{}', '{}', '', '', 'done', now() FROM generate_series(1, 20000) n`,
  );
  await pool.query("ANALYZE tsdev.runs");
  const { statement } = await import("./postgres/depths.ts");
  const { rows } = await pool.query<{ "QUERY PLAN": string }>(`EXPLAIN ${statement}`);
  expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).not.toContain("Seq Scan on runs");
  await pool.end();
  await engine.close();
});
