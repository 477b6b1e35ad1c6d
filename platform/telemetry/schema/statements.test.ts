// Statements for a cluster: the engine's own parser takes them, and each of them reaches every node.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openEmbeddedEngine } from "../embedded-engine.ts";
import type { TelemetryEngine } from "../engine.ts";
import { migrateTelemetry } from "../migrate.ts";
import { schemaOptionsOf } from "./options.ts";

let directory: string;
let engine: TelemetryEngine;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-schema-"));
  engine = await openEmbeddedEngine(directory);
});
afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true, force: true });
});

/** What a fresh store is sent, told by an engine that has nothing and does nothing. */
async function statementsOf(env: Record<string, string>): Promise<string[]> {
  const sent: string[] = [];
  const recording = {
    async command(sql: string) {
      sent.push(sql);
    },
    select: async () => "[]",
  };
  await migrateTelemetry(recording, schemaOptionsOf(env));
  return sent;
}

test("on a cluster every change is made on all nodes, in tables that share their rows", async () => {
  const sent = await statementsOf({
    CLICKHOUSE_CLUSTER: "prod-1",
    CLICKHOUSE_REPLICATED: "1",
    CLICKHOUSE_FSYNC: "true",
  });
  expect(sent.length).toBeGreaterThan(20);
  for (const sql of sent) {
    await engine.select("SELECT formatQuery({sql:String}) AS formatted", { sql });
    if (!sql.startsWith("INSERT")) expect(sql).toContain("ON CLUSTER 'prod-1'");
    if (!sql.startsWith("CREATE TABLE")) continue;
    expect(sql).toMatch(/Replicated\w*MergeTree\('\/clickhouse\/tables\/\{uuid\}\/\{shard\}', '\{replica\}'\)/);
    expect(sql).toContain("fsync_after_insert = 1");
    expect(sql).not.toContain("non_replicated");
    if (!sql.includes("tsdev_migrations") && !sql.includes("toIntervalDay(14)")) {
      expect(sql).toContain("replicated_deduplication_window_seconds = 604800");
    }
  }
});

test("without a cluster nothing is said of one, and every table knows the tokens of its last inserts", async () => {
  const sent = await statementsOf({});
  for (const sql of sent) expect(sql).not.toMatch(/ON CLUSTER|Replicated|fsync/);
  const made = sent.filter((sql) => /^CREATE TABLE/.test(sql) && !/tsdev_migrations|toIntervalDay\(14\)/.test(sql));
  expect(made).toHaveLength(9);
  for (const sql of made) expect(sql).toContain("non_replicated_deduplication_window = 1000");
});

test("an environment that makes no sense is refused with the variable's name", () => {
  for (const [name, value] of [
    ["CLICKHOUSE_CLUSTER", "x'; DROP TABLE otel_traces; --"],
    ["CLICKHOUSE_REPLICATED", "yes please"],
    ["CLICKHOUSE_REPLICA_PATH", "/a b/'"],
    ["CLICKHOUSE_FSYNC", "2"],
  ] as const) {
    expect(() => schemaOptionsOf({ [name]: value })).toThrow(
      expect.objectContaining({ code: "invalid_input", path: name }),
    );
  }
});
