// Brings the telemetry tables up to date: each numbered migration once, in order.
import type { TelemetryEngine } from "./engine.ts";
import * as first from "./migrations/0001-traces-logs-recordings.ts";
import * as second from "./migrations/0002-collector-tables.ts";

/** Every migration by its number. Statements are safe to repeat: a process may be killed between two of them. */
const migrations: ReadonlyArray<{ id: number; name: string; statements: readonly string[] }> = [
  { id: 1, name: "traces-logs-recordings", statements: first.statements },
  { id: 2, name: "collector-tables", statements: second.statements },
];

export async function migrateTelemetry(engine: TelemetryEngine): Promise<void> {
  await engine.command(
    "CREATE TABLE IF NOT EXISTS tsdev_migrations (id UInt32, name String, at DateTime) ENGINE = MergeTree ORDER BY id",
  );
  const applied = JSON.parse(await engine.select("SELECT DISTINCT id FROM tsdev_migrations", {})) as Array<{
    id: number;
  }>;
  const done = new Set(applied.map((row) => row.id));
  for (const { id, name, statements } of migrations) {
    if (done.has(id)) continue;
    for (const statement of statements) await engine.command(statement);
    await engine.command(`INSERT INTO tsdev_migrations SELECT ${id}, '${name}', now()`);
  }
}
