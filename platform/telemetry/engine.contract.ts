// What every ClickHouse behind the telemetry store must do, in this process or on a server.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TelemetryEngine } from "./engine.ts";
import { RowBinary } from "./ingest/row-binary.ts";
import { encodeProtobufSpans } from "./ingest/spans-protobuf.ts";
import { columns, type IngestTable, ingestTables, liveBounds } from "./ingest/tables.ts";
import { migrateTelemetry, migrations } from "./migrate.ts";
import { mergeSettings } from "./schema/statements.ts";
import { telemetryTables, traces } from "./schema/telemetry-tables.ts";
import { makeSpans } from "./telemetry-fixture.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };

export interface OpenedEngine {
  engine: TelemetryEngine;
  close(): Promise<void>;
}

/** `open` gives one ClickHouse for all of these tests, whose tables they may drop. */
export function engineContract(open: (directory: string) => Promise<OpenedEngine>): void {
  let directory: string;
  let engine: TelemetryEngine;
  let close: OpenedEngine["close"] | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "tsdev-engine-"));
    ({ engine, close } = await open(directory));
  });
  afterAll(async () => {
    await close?.();
    await rm(directory, { recursive: true, force: true });
  });

  const select = async <Row>(sql: string): Promise<Row[]> => JSON.parse(await engine.select(sql, {})) as Row[];
  const counted = async (from: string) =>
    Number((await select<{ n: number }>(`SELECT count() AS n FROM ${from}`))[0]!.n);
  const empty = async () => {
    for (const { name } of await select<{ name: string }>(
      "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY engine != 'MaterializedView'",
    )) {
      await engine.command(`DROP TABLE IF EXISTS ${name} SYNC`);
    }
  };
  const insert = async (table: IngestTable, rows: Buffer, token: string) => {
    const file = join(directory, "rows");
    await writeFile(file, rows);
    await engine.insert(table, file, token);
  };
  const spans = (count: number, ago = 0, days = 14) =>
    encodeProtobufSpans(
      ProtobufTraceSerializer.serializeRequest(makeSpans(Array.from({ length: count }, () => ({ name: "x", ago }))))!,
      tenant,
      liveBounds(days),
    ).rows;

  describe("migrations", () => {
    test("make every table with the columns that rows are written in, and are recorded", async () => {
      await empty();
      await migrateTelemetry(engine);
      await migrateTelemetry(engine);
      expect(await select("SELECT id, name FROM tsdev_migrations ORDER BY id")).toEqual(
        migrations.map(({ id, name }) => ({ id, name })),
      );
      for (const table of ingestTables) {
        const there = await select<{ name: string }>(
          `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '${table}' ORDER BY position`,
        );
        const names = there.map(({ name }) => name);
        expect(
          columns[table].map(([name]) => name).filter((name) => !names.includes(name)),
          table,
        ).toEqual([]);
      }
    });

    test("keep the rows of version 1, wherever the process ended before", async () => {
      const [first, second] = migrations as unknown as [(typeof migrations)[0], (typeof migrations)[0]];
      const steps = second.steps({}).length;
      for (let stop = 0; stop <= steps; stop++) {
        await empty();
        for (const { sql } of first.steps({})) await engine.command(sql);
        await engine.command(
          `INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, SpanAttributes, Organization)
            SELECT now64(9) - number, toString(intDiv(number, 3)), toString(number), 'old',
              map('db.query.text', 'SELECT ' || toString(number)), 'org_1' FROM numbers(30)`,
        );
        await engine.command(
          "INSERT INTO otel_logs (Timestamp, Body, ScopeName, Organization) SELECT now64(9), 'old', 'scope', 'org_1' FROM numbers(7)",
        );
        let left = stop;
        const dying: Pick<TelemetryEngine, "command" | "select"> = {
          select: (sql, params) => engine.select(sql, params),
          command: async (sql) => {
            // The table of applied migrations and the first migration's statements are repeated and do nothing.
            if (!/tsdev_migrations|IF NOT EXISTS (otel_traces|otel_logs|recordings) /.test(sql) && left-- === 0) {
              throw new Error("killed");
            }
            await engine.command(sql);
          },
        };
        await migrateTelemetry(dying).catch((error: Error) => expect(error.message).toBe("killed"));
        await migrateTelemetry(engine);
        expect(
          await select(
            `SELECT count() AS n, uniqExact(SpanId) AS spans, uniqExact(StmtHash) AS statements, any(RetentionDays) AS days,
              any(NormalizedQuery) AS query, any(AdjustedCount) AS counted FROM otel_traces`,
          ),
          `stopped after ${stop}`,
        ).toEqual([{ n: 30, spans: 30, statements: 1, days: 14, query: "SELECT ?", counted: 1 }]);
        expect(await counted("otel_logs WHERE Body = 'old' AND ScopeName = 'scope' AND TimestampTime > 0")).toBe(7);
        expect(await counted("(SELECT TraceId, min(Start) FROM otel_traces_trace_id_ts GROUP BY TraceId)")).toBe(10);
        expect(await counted("system.tables WHERE name LIKE '%reshaped%'")).toBe(0);
        expect(await counted("tsdev_migrations")).toBe(2);
      }
    }, 180_000);

    test("turn the wait for the disk on and off", async () => {
      const synced = () =>
        counted(
          "system.tables WHERE database = currentDatabase() AND engine_full LIKE '%fsync_after_insert = 1, fsync_part_directory = 1%'",
        );
      await migrateTelemetry(engine, { fsyncAfterInsert: true });
      expect(await synced()).toBe(telemetryTables.length);
      await migrateTelemetry(engine);
      expect(await synced()).toBe(0);
    });

    test("give tables of a version before the way in which parts are merged now", async () => {
      const settled = () =>
        counted(
          `system.tables WHERE database = currentDatabase() AND ${mergeSettings.map((setting) => `position(engine_full || ',', ' ${setting},') > 0`).join(" AND ")}`,
        );
      await engine.command(
        "ALTER TABLE otel_logs MODIFY SETTING vertical_merge_algorithm_min_rows_to_activate = 131072, merge_selector_base = 5",
      );
      await migrateTelemetry(engine);
      expect(await settled()).toBeGreaterThanOrEqual(telemetryTables.length);
    });
  });

  describe("inserts", () => {
    test("of one token are stored once, in the views' tables too; equal rows of another token are stored again", async () => {
      await empty();
      await migrateTelemetry(engine);
      const rows = spans(50);
      await insert("otel_traces", rows, "a-1");
      await insert("otel_traces", rows, "a-2");
      await insert("otel_traces", rows, "a-1");
      await insert("otel_traces", spans(3), "a-2");
      expect(await counted("otel_traces")).toBe(100);
      // One row for each trace of each insert, until the engine merges them.
      const parts = "SELECT sum(rows) AS n FROM system.parts WHERE active AND table = 'otel_traces_trace_id_ts'";
      expect(Number((await select<{ n: number }>(parts))[0]!.n)).toBeLessThanOrEqual(100);
      await engine.command("OPTIMIZE TABLE otel_traces_trace_id_ts FINAL");
      expect(await counted("otel_traces_trace_id_ts")).toBe(50);
    });

    test("larger than one block of the engine are stored once too", async () => {
      await empty();
      await migrateTelemetry(engine);
      const one = spans(1_000);
      const rows = Buffer.concat(Array.from({ length: 300 }, () => one));
      await insert("otel_traces", rows, "b-1");
      await insert("otel_traces", rows, "b-1");
      expect(await counted("otel_traces")).toBe(300_000);
    }, 60_000);

    test("that are malformed store nothing and say so; the next one works", async () => {
      await empty();
      await migrateTelemetry(engine);
      await expect(insert("otel_traces", spans(2).subarray(0, 100), "c-1")).rejects.toThrow();
      await insert("otel_traces", spans(2), "c-2");
      expect(await counted("otel_traces")).toBe(2);
    });
  });

  test("what is kept for a short time goes when it is over; what is kept longer, of the same day, stays", async () => {
    await empty();
    await migrateTelemetry(engine);
    await engine.command("SYSTEM STOP TTL MERGES");
    const day = 86_400_000;
    for (const [days, name] of [
      [3, "short"],
      [30, "long"],
    ] as const) {
      await insert(
        "otel_traces",
        encodeProtobufSpans(
          ProtobufTraceSerializer.serializeRequest(
            makeSpans(Array.from({ length: 20 }, () => ({ name, ago: 5 * day }))),
          )!,
          tenant,
          { ...liveBounds(30), retentionDays: days },
        ).rows,
        `d-${name}`,
      );
      await insert("otel_logs", oldLog(days, name, 5 * day), `l-${name}`);
      await engine.command(
        `INSERT INTO otel_metrics_gauge (MetricName, TimeUnix, RetentionDays) SELECT '${name}', now64(9) - INTERVAL 5 DAY, ${days}`,
      );
    }
    expect(await counted("otel_traces")).toBe(40);
    await engine.command("SYSTEM START TTL MERGES");
    for (const table of ["otel_traces", "otel_logs", "otel_metrics_gauge", "otel_traces_trace_id_ts"]) {
      await engine.command(`OPTIMIZE TABLE ${table} FINAL`);
    }
    expect(await select("SELECT SpanName AS name, count() AS n FROM otel_traces GROUP BY 1")).toEqual([
      { name: "long", n: 20 },
    ]);
    expect(await select("SELECT Body AS name, count() AS n FROM otel_logs GROUP BY 1")).toEqual([
      { name: "long", n: 1 },
    ]);
    expect(await select("SELECT MetricName AS name FROM otel_metrics_gauge")).toEqual([{ name: "long" }]);
    expect(await counted("otel_traces_trace_id_ts")).toBe(20);
  });

  test("reads can change nothing, take parameters as they are, and tell what was wrong", async () => {
    await expect(engine.select("DROP TABLE otel_traces", {})).rejects.toThrow();
    await expect(engine.select("SELECT * FROM no_such_table", {})).rejects.toMatchObject({ type: "UNKNOWN_TABLE" });
    const x = "a'b\\n\\' \n\n\t{x:String} ü🎈";
    const list = [x, "", "b"];
    const text = await engine.select("SELECT {x:String} AS x, {list:Array(String)} AS list, {n:Int64} AS n", {
      x,
      list,
      n: -5,
    });
    expect(JSON.parse(text)).toEqual([{ x, list, n: -5 }]);
    await expect(engine.select("SELECT number FROM numbers(300000)", {})).rejects.toMatchObject({
      type: "TOO_MANY_ROWS_OR_BYTES",
    });
    expect(await counted(traces.name)).toBe(20);
  });
}

function oldLog(days: number, body: string, ago: number): Buffer {
  const out = new RowBinary();
  out.int64(BigInt(Date.now() - ago) * 1_000_000n);
  for (const text of ["", ""]) out.text(text);
  out.uint8(0);
  out.text("");
  out.uint8(9);
  out.text("shop");
  out.text(body);
  // Schema of the resource, its attributes, schema of the scope, name, version, its attributes, the record's, event.
  for (let i = 0; i < 8; i++) out.varint(0);
  for (const text of [tenant.organizationId, tenant.project, tenant.environment, ""]) out.text(text);
  out.uint16(days);
  return out.bytes();
}
