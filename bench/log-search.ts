// Benchmark: searching log bodies for a text, with the text index of our table, with the Collector exporter's filters, and with none.
import { createTable } from "../platform/telemetry/schema/statements.ts";
import { index, type Table } from "../platform/telemetry/schema/table.ts";
import { logs } from "../platform/telemetry/schema/telemetry-tables.ts";
import { type Measured, ratioOf } from "./measured.ts";
import { Bench } from "./trace-query/measure.ts";

const rows = Number(process.env.LOG_SEARCH_ROWS ?? 1_000_000);
/** Rows of one insert. */
const insertRows = 16_384;
const tries = 7;

const others = logs.indexes.filter(({ name }) => name !== "idx_body");
const table = (name: string, indexes: Table["indexes"]): Table => ({ ...logs, name, indexes: [...others, ...indexes] });
const tables = [
  table("no_body_index", []),
  table("text_ngrams_3", [index("idx_body", "Body", "text(tokenizer = ngrams(3))")]),
  table("text_words", [index("idx_body", "Body", "text(tokenizer = splitByNonAlpha)")]),
  table("collector_filters", [
    index("idx_body", "Body", "tokenbf_v1(32768, 3, 0)", 8),
    index("idx_body_ngrambf", "Body", "ngrambf_v1(4, 32768, 3, 0)"),
  ]),
];

/** A line in a hundred thousand, one in a hundred, one in four, and none. */
const texts = {
  rare: "%order 4242 %",
  "in 1 %": "%refused by the bank%",
  frequent: "%was paid%",
  none: "%no such text%",
};

const source = `SELECT
    toDateTime64('2026-11-24 00:00:00', 9, 'UTC') + toIntervalNanosecond(number * 7200000) AS Timestamp,
    lower(hex(sipHash128(intDiv(number, 8)))) AS TraceId, leftPad(lower(hex(sipHash64(number))), 16, '0') AS SpanId,
    if(cityHash64(number) % 100 = 0, 'error', 'info') AS SeverityText, if(cityHash64(number) % 100 = 0, 17, 9) AS SeverityNumber,
    ['shop', 'orders', 'users', 'payments'][1 + number % 4] AS ServiceName,
    multiIf(cityHash64(number) % 100 = 0, concat('payment of order ', toString(cityHash64(number, 1) % 100000), ' was refused by the bank: code ', toString(number % 90)),
      number % 4 = 0, concat('order ', toString(cityHash64(number, 2) % 100000), ' was paid with card ending in ', toString(cityHash64(number, 3) % 10000)),
      number % 4 = 1, concat('GET /orders/', toString(cityHash64(number, 4) % 1000000), ' 200 in ', toString(cityHash64(number, 5) % 900), ' ms'),
      number % 4 = 2, concat('user ', toString(cityHash64(number, 6) % 50000), ' signed in from 10.', toString(number % 250), '.', toString(intDiv(number, 250) % 250), '.3'),
      concat('cache miss for key item:', lower(hex(sipHash64(number, 7))), ', read from the database')) AS Body,
    map('service.name', ServiceName, 'host.name', 'node-' || toString(number % 5)) AS ResourceAttributes,
    map('log.iostream', 'stdout', 'http.route', '/orders/:id') AS LogAttributes,
    'org_1' AS Organization, 'shop' AS Project, 'production' AS Environment, 400 AS RetentionDays
  FROM numbers(${rows})`;
const names =
  "Timestamp, TraceId, SpanId, SeverityText, SeverityNumber, ServiceName, Body, ResourceAttributes, LogAttributes, Organization, Project, Environment, RetentionDays";

export async function logSearch(): Promise<Measured[]> {
  const bench = await Bench.open();
  try {
    const made: Record<string, { insert: number; bytes: number; asked: Record<string, number[]> }> = {};
    for (const one of tables) {
      await bench.command(createTable(one, {}));
      const block = `max_block_size = ${insertRows}, min_insert_block_size_rows = 0, min_insert_block_size_bytes = 0, max_threads = 1`;
      const insert = await bench.command(`INSERT INTO ${one.name} (${names}) ${source} SETTINGS ${block}`);
      const merge = await bench.command(`OPTIMIZE TABLE ${one.name} FINAL`);
      const size = `SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = '${one.name}'`;
      const [{ bytes }] = (await bench.rows<{ bytes: number }>(size)) as [{ bytes: number }];
      made[one.name] = {
        insert: ((insert.cpuMs + merge.cpuMs) * 1_000) / rows,
        bytes: Number(bytes) / rows,
        asked: {},
      };
    }
    for (let i = 0; i < tries; i++) {
      for (const { name } of i % 2 === 0 ? tables : tables.toReversed()) {
        for (const [text, pattern] of Object.entries(texts)) {
          const { cpuMs } = await bench.query(
            `SELECT Timestamp, Body FROM ${name} WHERE Organization = 'org_1' AND Project = 'shop' AND Environment = 'production'
              AND Body LIKE '${pattern}' ORDER BY Timestamp DESC LIMIT 100`,
          );
          const asked = made[name]!.asked;
          asked[text] = [...(asked[text] ?? []), cpuMs];
        }
      }
    }
    const rival = made.collector_filters!;
    const rivalName = "the Collector exporter's filters";
    return Object.entries(made).flatMap(([name, one]) => [
      ratioOf({
        name: `log-search ${name}: insert and merges`,
        unit: "CPU µs/record",
        rivalName,
        ours: [one.insert],
        rival: [rival.insert],
      }),
      ratioOf({
        name: `log-search ${name}: at rest`,
        unit: "bytes/record",
        rivalName,
        ours: [one.bytes],
        rival: [rival.bytes],
      }),
      ...Object.keys(texts).map((text) =>
        ratioOf({
          name: `log-search ${name}: ${text}`,
          unit: "CPU ms",
          rivalName,
          ours: one.asked[text]!,
          rival: rival.asked[text]!,
        }),
      ),
    ]);
  } finally {
    await bench.close();
  }
}
