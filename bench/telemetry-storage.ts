// Benchmark: what a span costs at rest, by codecs, indexes and order of the table, against the table of the Collector's exporter.
import { createTable } from "../platform/telemetry/schema/statements.ts";
import type { Measured } from "./measured.ts";
import { ratioOf } from "./measured.ts";
import { Bench } from "./trace-query/measure.ts";
import { owners, repeatOf, seedSeconds, seedSpans, seedTable, sentColumns } from "./trace-query/spans.ts";
import { variants as all } from "./trace-query/tables.ts";

/** Repeats of the seed in each table. */
const rounds = Number(process.env.TELEMETRY_STORAGE_ROUNDS ?? 10);
/** Spans of one insert: what ingest merges when it is busy. */
const insertSpans = 16_384;
const tries = 7;
/** `TELEMETRY_STORAGE_TABLES=ours,by_time` takes these alone, beside the Collector's. */
const asked = process.env.TELEMETRY_STORAGE_TABLES?.split(",");
const variants = all.filter(({ name }) => asked === undefined || name === "collector_traces" || asked.includes(name));

/** Whoever is first pays for what the others find warm: the order turns with each round. */
function turned<T>(list: readonly T[], round: number): T[] {
  const start = round % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

const end = Date.UTC(2026, 10, 1) / 1_000 + rounds * seedSeconds;
const lastHour = `Timestamp >= fromUnixTimestamp(${end - 3_600}) AND Timestamp <= fromUnixTimestamp(${end})`;
const where = "SpanAttributes['user.id'] = 'user-77' AND Timestamp >= '2026-11-01 00:00:00'";

export async function telemetryStorage(): Promise<Measured[]> {
  const bench = await Bench.open();
  try {
    await bench.command(seedTable);
    const names = [...sentColumns, ...Object.keys(owners)].map((name) => `\`${name}\``).join(", ");
    const block = `max_block_size = ${insertSpans}, min_insert_block_size_rows = 0, min_insert_block_size_bytes = 0, max_threads = 1`;
    const made: Record<
      string,
      {
        insert: number[];
        bytes: number;
        merge: number;
        trace: number[];
        attribute: number[];
        p95: number[];
        operation: number[];
      }
    > = {};
    for (const table of variants) {
      await bench.command(createTable(table, {}));
      await bench.command(`SYSTEM STOP MERGES ${table.name}`);
      made[table.name] = { insert: [], bytes: 0, merge: 0, trace: [], attribute: [], p95: [], operation: [] };
    }
    const target = (name: string) =>
      name === "collector_traces" ? sentColumns.map((one) => `\`${one}\``).join(", ") : names;
    const source = (name: string, round: number) => repeatOf(round, name === "collector_traces" ? {} : owners);
    for (let round = 0; round < rounds; round++) {
      // Making the rows alone, to be taken off.
      const making = await bench.command(
        `SELECT * FROM (${source("ours", round).replace(" SETTINGS", ") FORMAT Null SETTINGS")}, ${block}`,
      );
      for (const { name } of turned(variants, round)) {
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
      for (const { name } of turned(variants, i)) {
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
        const p95 = `SELECT ServiceName, SpanName, quantileTDigest(0.95)(Duration) FROM ${name} WHERE ${mine}`;
        one.p95.push((await bench.query(`${p95} AND ${lastHour} GROUP BY 1, 2`)).cpuMs);
        one.operation.push(
          (await bench.query(`${p95} AND ServiceName = 'shop' AND SpanName = 'GET /orders/:id' GROUP BY 1, 2`)).cpuMs,
        );
      }
    }
    const rival = made.collector_traces!;
    const rivalName = "the Collector exporter's table";
    return Object.entries(made).flatMap(([name, one]) => {
      const row = (what: string, unit: string, ours: number[], theirs: number[]) =>
        ratioOf({ name: `telemetry-storage ${name}: ${what}`, unit, rivalName, ours, rival: theirs });
      return [
        row("insert", "CPU µs/span", one.insert, rival.insert),
        row("merge", "CPU µs/span", [one.merge], [rival.merge]),
        row("at rest", "bytes/span", [one.bytes], [rival.bytes]),
        row("trace by id", "CPU ms", one.trace, rival.trace),
        row("by attribute", "CPU ms", one.attribute, rival.attribute),
        row("p95 per operation, last hour", "CPU ms", one.p95, rival.p95),
        row("p95 of one operation, whole time", "CPU ms", one.operation, rival.operation),
      ];
    });
  } finally {
    await bench.close();
  }
}
