// Benchmark: the questions that are asked of traces, while the table grows, against the table of the Collector's exporter with the same rows.
import { migrateTelemetry } from "../platform/telemetry/migrate.ts";
import { createTable } from "../platform/telemetry/schema/statements.ts";
import { type Measured, ratioOf } from "./measured.ts";
import { Bench } from "./trace-query/measure.ts";
import { owners, repeatOf, seedSeconds, seedSpans, seedTable, sentColumns } from "./trace-query/spans.ts";
import { collector } from "./trace-query/tables.ts";

/** How many spans there are when questions are asked; `TRACE_QUERY_SPANS=1000000,100000000` asks at others. */
const sizes = (process.env.TRACE_QUERY_SPANS ?? "1000000,10000000").split(",").map(Number);
const tries = Number(process.env.TRACE_QUERY_TRIES ?? 7);
const rivalName = "the Collector exporter's table";

interface Question {
  name: string;
  ours: string;
  rival: string;
}

/** What is asked with the n-th try, of rows whose last time is `end` (seconds since the epoch). */
function questions(trace: string, user: string, end: number): Question[] {
  const both = (name: string, make: (table: string, mine: string) => string): Question => ({
    name,
    ours: make("otel_traces", "Organization = 'org_1' AND Project = 'shop' AND Environment = 'production'"),
    rival: make(collector.name, "1"),
  });
  const lastHour = `Timestamp >= fromUnixTimestamp(${end - 3_600}) AND Timestamp <= fromUnixTimestamp(${end})`;
  const whole = "SELECT * FROM";
  return [
    both("trace by id", (table, mine) => `${whole} ${table} WHERE ${mine} AND TraceId = '${trace}' ORDER BY Timestamp`),
    both("trace by id and its times", (table, mine) =>
      table === collector.name
        ? `${whole} ${table} WHERE TraceId = '${trace}' ORDER BY Timestamp`
        : `WITH (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = '${trace}') AS first,
            (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = '${trace}') AS last
          ${whole} ${table} WHERE ${mine} AND TraceId = '${trace}' AND Timestamp >= first AND Timestamp <= last ORDER BY Timestamp`,
    ),
    both(
      "by attribute, whole time",
      (table, mine) =>
        `SELECT TraceId, Timestamp, Duration FROM ${table} WHERE ${mine} AND SpanAttributes['user.id'] = '${user}' ORDER BY Timestamp DESC LIMIT 50`,
    ),
    both(
      "by attribute, last hour",
      (table, mine) =>
        `SELECT TraceId, Timestamp, Duration FROM ${table} WHERE ${mine} AND ${lastHour} AND SpanAttributes['user.id'] = '${user}' ORDER BY Timestamp DESC LIMIT 50`,
    ),
    both(
      "p95 per operation, last hour",
      (table, mine) =>
        `SELECT ServiceName, SpanName, count(), quantileTDigest(0.95)(Duration) FROM ${table} WHERE ${mine} AND ${lastHour} GROUP BY 1, 2`,
    ),
    both(
      "p95 per operation, whole time",
      (table, mine) =>
        `SELECT ServiceName, SpanName, count(), quantileTDigest(0.95)(Duration) FROM ${table} WHERE ${mine} GROUP BY 1, 2`,
    ),
  ];
}

export async function traceQuery(): Promise<Measured[]> {
  const bench = await Bench.open();
  const results: Measured[] = [];
  try {
    await migrateTelemetry(bench.engine);
    await bench.command(createTable(collector, {}));
    await bench.command(seedTable);
    const sent = sentColumns.map((name) => `\`${name}\``).join(", ");
    const owned = `${sent}, ${Object.keys(owners).join(", ")}`;
    let round = 0;
    for (const size of sizes) {
      const loaded = { ours: 0, rival: 0 };
      const first = round;
      for (; round * seedSpans < size; round++) {
        loaded.ours += (await bench.command(`INSERT INTO otel_traces (${owned}) ${repeatOf(round, owners)}`)).cpuMs;
        loaded.rival += (await bench.command(`INSERT INTO ${collector.name} (${sent}) ${repeatOf(round, {})}`)).cpuMs;
      }
      const made = (round - first) * seedSpans;
      const row = (name: string, unit: string, ours: number[], rival: number[]) =>
        results.push(ratioOf({ name: `trace-query, ${size / 1e6} M spans: ${name}`, unit, rivalName, ours, rival }));
      row("insert and merges", "CPU µs/span", [(loaded.ours * 1_000) / made], [(loaded.rival * 1_000) / made]);
      const bytes = async (table: string) => {
        const sql = `SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = '${table}'`;
        return Number((await bench.rows<{ bytes: number }>(sql))[0]!.bytes) / (round * seedSpans);
      };
      row("at rest", "bytes/span", [await bytes("otel_traces")], [await bytes(collector.name)]);
      row("at rest, trace_id_ts", "bytes/span", [await bytes("otel_traces_trace_id_ts")], [0]);
      await bench.settled();
      const asked = new Map<string, { ours: number[][]; rival: number[][] }>();
      const traces = await bench.rows<{ TraceId: string; user: string }>(
        `SELECT TraceId, SpanAttributes['user.id'] AS user FROM otel_traces WHERE Organization = 'org_1' AND ParentSpanId = '' AND SpanAttributes['user.id'] != ''
          ORDER BY cityHash64(TraceId) LIMIT ${tries}`,
      );
      const end = Date.UTC(2026, 10, 1) / 1_000 + round * seedSeconds;
      for (const [i, { TraceId, user }] of traces.entries()) {
        for (const { name, ours, rival } of questions(TraceId, user, end)) {
          const entry = asked.get(name) ?? { ours: [], rival: [] };
          asked.set(name, entry);
          // They take turns at being first.
          const order = i % 2 === 0 ? (["ours", "rival"] as const) : (["rival", "ours"] as const);
          for (const who of order) {
            const { ms, cpuMs } = await bench.query(who === "ours" ? ours : rival);
            entry[who].push([ms, cpuMs]);
          }
        }
      }
      for (const [name, { ours, rival }] of asked) {
        row(
          name,
          "ms",
          ours.map(([ms]) => ms!),
          rival.map(([ms]) => ms!),
        );
        row(
          name,
          "CPU ms",
          ours.map(([, cpu]) => cpu!),
          rival.map(([, cpu]) => cpu!),
        );
      }
      process.stderr.write(`${JSON.stringify(results.filter(({ name }) => name.includes(`, ${size / 1e6} M`)))}\n`);
    }
    return results;
  } finally {
    await bench.close();
  }
}
