// Benchmark: what a span costs at rest, by codecs, indexes and order of the table, against the table of the Collector's exporter.
import { createTable } from "../platform/telemetry/schema/statements.ts";
import type { Measured } from "./measured.ts";
import { ratioOf } from "./measured.ts";
import { Bench } from "./trace-query/measure.ts";
import { owners, repeatOf, seedSpans, seedTable, sentColumns } from "./trace-query/spans.ts";
import { variants } from "./trace-query/tables.ts";

/** Repeats of the seed in each table; half a million spans each. */
const rounds = Number(process.env.TELEMETRY_STORAGE_ROUNDS ?? 2);
/** Spans of one insert: what ingest merges when it is busy. */
const insertSpans = 16_384;
const tries = 5;

const where = "SpanAttributes['user.id'] = 'user-77' AND Timestamp >= '2026-11-01 00:00:00'";

export async function telemetryStorage(): Promise<Measured[]> {
  const bench = await Bench.open();
  try {
    await bench.command(seedTable);
    const names = [...sentColumns, ...Object.keys(owners)].map((name) => `\`${name}\``).join(", ");
    const block = `max_block_size = ${insertSpans}, min_insert_block_size_rows = 0, min_insert_block_size_bytes = 0, max_threads = 1`;
    const made: Record<
      string,
      { insert: number[]; bytes: number; merge: number; trace: number[]; attribute: number[]; p95: number[] }
    > = {};
    for (const table of variants) {
      await bench.command(createTable(table, {}));
      await bench.command(`SYSTEM STOP MERGES ${table.name}`);
      made[table.name] = { insert: [], bytes: 0, merge: 0, trace: [], attribute: [], p95: [] };
    }
    const target = (name: string) =>
      name === "collector_traces" ? sentColumns.map((one) => `\`${one}\``).join(", ") : names;
    const source = (name: string, round: number) => repeatOf(round, name === "collector_traces" ? {} : owners);
    for (let round = 0; round < rounds; round++) {
      // Making the rows alone, to be taken off.
      const making = await bench.command(
        `SELECT * FROM (${source("ours", round).replace(" SETTINGS", ") FORMAT Null SETTINGS")}, ${block}`,
      );
      for (const { name } of variants) {
        const spent = await bench.command(`INSERT INTO ${name} (${target(name)}) ${source(name, round)}, ${block}`);
        made[name]!.insert.push((spent.cpuMs - making.cpuMs) * (1_000 / seedSpans));
      }
    }
    const [{ TraceId }] = (await bench.rows<{ TraceId: string }>(
      "SELECT TraceId FROM ours ORDER BY cityHash64(TraceId) LIMIT 1",
    )) as [{ TraceId: string }];
    for (const { name } of variants) {
      await bench.command(`SYSTEM START MERGES ${name}`);
      made[name]!.merge = (await bench.command(`OPTIMIZE TABLE ${name} FINAL`)).cpuMs * (1_000 / (seedSpans * rounds));
      const [size] = await bench.rows<{ bytes: number }>(
        `SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = '${name}'`,
      );
      made[name]!.bytes = Number(size!.bytes) / (seedSpans * rounds);
    }
    for (let i = 0; i < tries; i++) {
      for (const { name } of variants) {
        const mine =
          name === "collector_traces"
            ? "1"
            : "Organization = 'org_1' AND Project = 'shop' AND Environment = 'production'";
        const one = made[name]!;
        one.trace.push((await bench.query(`SELECT * FROM ${name} WHERE TraceId = '${TraceId}'`)).cpuMs);
        const filter =
          name === "text_items"
            ? `has(arrayMap((k, v) -> concat(k, '=', v), mapKeys(SpanAttributes), mapValues(SpanAttributes)), 'user.id=user-77')`
            : where;
        one.attribute.push(
          (
            await bench.query(
              `SELECT TraceId, Timestamp, Duration FROM ${name} WHERE ${mine} AND ${filter} ORDER BY Timestamp DESC LIMIT 50`,
            )
          ).cpuMs,
        );
        one.p95.push(
          (
            await bench.query(
              `SELECT ServiceName, SpanName, quantileTDigest(0.95)(Duration) FROM ${name} WHERE ${mine} AND Timestamp >= '2026-11-01 00:30:00' AND Timestamp < '2026-11-01 01:30:00' GROUP BY 1, 2`,
            )
          ).cpuMs,
        );
      }
    }
    const rival = made.collector_traces!;
    const rivalName = "the Collector exporter's table";
    return Object.entries(made).flatMap(([name, one]) => [
      ratioOf({
        name: `telemetry-storage ${name}: insert`,
        unit: "CPU µs/span",
        rivalName,
        ours: one.insert,
        rival: rival.insert,
      }),
      ratioOf({
        name: `telemetry-storage ${name}: merge`,
        unit: "CPU µs/span",
        rivalName,
        ours: [one.merge],
        rival: [rival.merge],
      }),
      ratioOf({
        name: `telemetry-storage ${name}: at rest`,
        unit: "bytes/span",
        rivalName,
        ours: [one.bytes],
        rival: [rival.bytes],
      }),
      ratioOf({
        name: `telemetry-storage ${name}: trace by id`,
        unit: "CPU ms",
        rivalName,
        ours: one.trace,
        rival: rival.trace,
      }),
      ratioOf({
        name: `telemetry-storage ${name}: by attribute`,
        unit: "CPU ms",
        rivalName,
        ours: one.attribute,
        rival: rival.attribute,
      }),
      ratioOf({
        name: `telemetry-storage ${name}: p95 per operation, 1 h`,
        unit: "CPU ms",
        rivalName,
        ours: one.p95,
        rival: rival.p95,
      }),
    ]);
  } finally {
    await bench.close();
  }
}
