// Brings the telemetry tables up to date: each numbered migration once, in order.
import type { TelemetryEngine } from "./engine.ts";
import * as first from "./migrations/0001-traces-logs-recordings.ts";
import * as second from "./migrations/0002-collector-tables.ts";
import type { SchemaOptions } from "./schema/options.ts";
import { alterSettings, createTable, mergeSettings, type Step } from "./schema/statements.ts";
import type { Table } from "./schema/table.ts";
import { telemetryTables } from "./schema/telemetry-tables.ts";

interface Migration {
  id: number;
  name: string;
  steps(options: SchemaOptions): Step[];
}

/**
 * Every migration by its number. Steps may be repeated: a process may be killed between two of them. Tables are described
 * as they are now, so what a later migration adds to one is added `IF NOT EXISTS`.
 */
export const migrations: readonly Migration[] = [
  { id: 1, name: "traces-logs-recordings", steps: first.steps },
  { id: 2, name: "tables-of-the-collector", steps: second.steps },
];

const applied: Table = {
  name: "tsdev_migrations",
  engine: "MergeTree",
  columns: [
    { name: "id", type: "UInt32" },
    { name: "name", type: "String" },
    { name: "at", type: "DateTime" },
  ],
  indexes: [],
  orderBy: "id",
  deduplicates: false,
};

type Engine = Pick<TelemetryEngine, "command" | "select">;

export async function migrateTelemetry(engine: Engine, options: SchemaOptions = {}): Promise<void> {
  await engine.command(createTable(applied, options));
  const there = await rows<{ name: string }>(engine, `SELECT DISTINCT name FROM ${applied.name}`);
  const done = new Set(there.map(({ name }) => name));
  for (const { id, name, steps } of migrations) {
    if (done.has(name)) continue;
    for (const { sql, unless } of steps(options)) {
      if (unless === undefined || (await rows(engine, unless)).length === 0) await engine.command(sql);
    }
    await engine.command(`INSERT INTO ${applied.name} SELECT ${id}, '${name}', now()`);
  }
  await settle(engine, options);
}

/** Whether inserts wait for the disk may change with each start; how parts are merged, with a version. */
async function settle(engine: Engine, options: SchemaOptions): Promise<void> {
  const tables = await rows<{ name: string; engine_full: string }>(
    engine,
    "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()",
  );
  for (const table of telemetryTables) {
    const now = tables.find(({ name }) => name === table.name)?.engine_full;
    const syncs = now?.includes("fsync_after_insert = 1") ?? false;
    const merges = now === undefined || mergeSettings.every((setting) => `${now},`.includes(` ${setting},`));
    if (syncs !== (options.fsyncAfterInsert ?? false) || !merges) {
      await engine.command(alterSettings(table, options));
    }
  }
}

async function rows<Row>(engine: Engine, sql: string): Promise<Row[]> {
  return JSON.parse(await engine.select(sql, {})) as Row[];
}
