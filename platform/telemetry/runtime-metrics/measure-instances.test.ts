// The looks at the router: at regular times, for the deployments that are known, also after one that failed, until the end.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RequestMetricsState } from "../../runtime/router/request-metrics.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../../store/postgres-fixture.ts";
import type { DatabaseSchema } from "../../store/schema.ts";
import { Ingest } from "../ingest/ingest.ts";
import { type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { measureInstances } from "./measure-instances.ts";

let postgres: TemporaryPostgres;
let telemetry: TemporaryTelemetry;
let folder: string;
let db: Kysely<DatabaseSchema>;
beforeAll(async () => {
  postgres = await temporaryPostgres();
  telemetry = await temporaryTelemetry();
  folder = await mkdtemp(join(tmpdir(), "tsdev-measure-"));
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on("error", () => {});
  db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  // Only what is read of the platform's tables.
  await pool.query(`
    CREATE TABLE projects (id text, name text); INSERT INTO projects VALUES ('p', 'shop');
    CREATE TABLE environments (id text, name text); INSERT INTO environments VALUES ('e', 'production');
    CREATE TABLE deployments (id text, organization_id text, service text, environment_id text, project_id text);
    INSERT INTO deployments VALUES ('dep_1', 'org_1', 'web', 'e', 'p')`);
});
afterAll(async () => {
  await db.destroy();
  await telemetry[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("what the router counts is stored at each look, a failure is told once, and after the end nothing is asked", async () => {
  let looks = 0;
  const logged: string[] = [];
  const stop = new AbortController();
  const state = (): RequestMetricsState => {
    looks++;
    if (looks === 2 || looks === 3) throw new Error("the router is away");
    const histogram = { count: looks, sum: looks, min: 1, max: 1, buckets: [0, looks] };
    const points = [{ attributes: { "http.request.method": "GET" }, histogram }];
    return { bounds: [0.5], groups: ["dep_1", "nowhere"].map((group) => ({ group, startedAt: 1_000, points })) };
  };
  measureInstances({
    ...{ db, signal: stop.signal, everyMs: 5, file: join(folder, "instances.json") },
    instances: async () => [],
    requests: async () => state(),
    ingest: new Ingest(telemetry.store),
    log: (message) => logged.push(message),
  });
  const stored = () =>
    telemetry.store.reader.query<{ count: number; service: string; deployment: string; by: string }>(
      `SELECT toUInt32(Count) AS count, toString(ServiceName) AS service, toString(Deployment) AS deployment,
          ResourceAttributes['tsdev.measured_by'] AS by
        FROM otel_metrics_histogram WHERE Organization = 'org_1' AND Project = 'shop' AND Environment = 'production'
          AND MetricName = 'http.server.request.duration' ORDER BY count`,
    );
  await expect.poll(async () => (await stored()).length, { timeout: 20_000 }).toBeGreaterThan(2);
  stop.abort();
  const rows = await stored();
  expect(rows[0]).toEqual({ count: 1, service: "web", deployment: "dep_1", by: "router" });
  expect(rows[1]?.count).toBe(4);
  expect(logged).toEqual(["what the router measured could not be read: Error: the router is away"]);
  const after = looks;
  await expect.poll(async () => (await stored()).length).toBeGreaterThan(2);
  expect(looks).toBeLessThanOrEqual(after + 1);
});
