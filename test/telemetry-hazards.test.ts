// Telemetry by hazard, with real processes: killed in the middle, a database that is gone, slow readers, clocks that are wrong.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { acknowledged, type Batch, batch, ofBatch, post, spansBody, ways } from "./telemetry-hazards/batches.ts";
import { type IngestProcess, killAll, startDatabase, startIngest } from "./telemetry-hazards/processes.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-telemetry-hazards-"));
});
afterEach(async () => {
  await killAll();
  await rm(directory, { recursive: true, force: true });
});

const spoolEmpty = (ingest: IngestProcess) =>
  vi.waitUntil(async () => (await ingest.state()).spool.files === 0, { timeout: 30_000, interval: 50 });

test("batches of every signal, over HTTP and gRPC, are stored exactly once though the process is killed twice", async () => {
  const each = 45;
  let left: Batch[] = Array.from({ length: each }, (_, i) => ways.map((way) => batch(way, i))).flat();
  for (let round = 0; left.length > 0; round++) {
    const ingest = await startIngest({ directory });
    const unanswered: Batch[] = [];
    let answered = 0;
    const send = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        // Stored or not, the sender cannot know: it sends the batch again.
        if (!(await acknowledged(ingest, next))) return void unanswered.push(next);
        answered++;
        if (round < 2 && answered === 60) await ingest.kill();
      }
    };
    await Promise.all(Array.from({ length: 8 }, send));
    left = [...unanswered, ...left];
    await ingest.kill();
  }
  const ingest = await startIngest({ directory });
  await spoolEmpty(ingest);
  const count = async (table: string) => (await ingest.query(`SELECT count() AS rows FROM ${table}`))[0];
  expect(await count("otel_traces")).toEqual({ rows: 2 * each * ofBatch });
  for (const table of ["otel_logs", "otel_metrics_gauge", "otel_metrics_sum", "otel_metrics_histogram"]) {
    expect([table, await count(table)]).toEqual([table, { rows: each * ofBatch }]);
  }
});

test("a ClickHouse that is killed under load loses nothing: the disk fills to the cap, then senders are told when to come back", async () => {
  const limitBytes = 6 * 1024 * 1024;
  let database = await startDatabase(directory);
  const ingest = await startIngest({
    directory,
    clickhouseUrl: database.url,
    spool: { limitBytes, maxPauseMs: 500 },
  });
  const attributes = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`attribute.${i}`, "x".repeat(60)]));
  const body = () => spansBody(Array.from({ length: 200 }, (_, i) => ({ name: `span ${i}`, attributes })));
  const [stored, refused]: [number[], Array<string | null>] = [[], []];
  let over = false;
  const send = async () => {
    while (!over) {
      const one = body();
      for (;;) {
        const answer = await post(ingest, "/v1/traces", one);
        if (answer?.status === 200) break;
        refused.push(`${answer?.status} ${answer?.headers.get("retry-after")}`);
        await delay(100);
      }
      stored.push(200);
    }
  };
  const senders = Promise.all(Array.from({ length: 6 }, send));
  const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 40_000, interval: 20 });
  await until(() => stored.length >= 12);
  const before = await ingest.state();
  await database.kill();
  await until(() => refused.length >= 30);
  const away = await ingest.state();
  expect(new Set(refused)).toEqual(new Set(["429 1"]));
  expect(away.spool.bytes).toBeLessThanOrEqual(limitBytes);
  expect(away.spool.awaySince).not.toBeNull();
  expect(away.rss - before.rss).toBeLessThan(250 * 1024 * 1024);
  database = await startDatabase(directory, database.port);
  over = true;
  await senders;
  await spoolEmpty(ingest);
  expect(await ingest.query("SELECT count() AS spans, uniqExact(SpanId) AS different FROM otel_traces")).toEqual([
    { spans: stored.length * 200, different: stored.length * 200 },
  ]);
});

test("queries that take seconds and queue up hold up no insert, with the few threads that Node has by default", async () => {
  const ingest = await startIngest({ directory }, { UV_THREADPOOL_SIZE: "4" });
  await post(ingest, "/v1/traces", spansBody([{ name: "warm" }]));
  let ended = 0;
  const slow = "SELECT count() AS n FROM numbers(6000000000) WHERE sipHash64(number) % 7 = 1";
  const queries = Array.from({ length: 12 }, () =>
    ingest.query(slow).then(
      () => ended++,
      () => {},
    ),
  );
  const lags: number[] = [];
  for (let i = 1; i <= 15; i++) {
    const started = performance.now();
    expect((await post(ingest, "/v1/traces", spansBody([{ name: "beside" }])))?.status).toBe(200);
    lags.push(performance.now() - started);
    const there = await ingest.queryWithin("SELECT count() AS n FROM otel_traces WHERE SpanName = 'beside'");
    expect(there).toEqual([{ n: i }]);
  }
  expect(ended).toBe(0);
  const median = lags.toSorted((a, b) => a - b)[7]!;
  expect(median).toBeLessThan(1_000);
  await ingest.kill();
  await Promise.all(queries);
});

test("what a sender says whose clock is hours off is kept at its own time; more than a day ahead is refused and told", async () => {
  const ingest = await startIngest({ directory });
  const hour = 3_600_000;
  const spans = [-6, 6, -23].map((hours) => ({ name: `${hours} hours`, ago: hours * hour }));
  const answer = await post(ingest, "/v1/traces", spansBody(spans));
  expect([answer?.status, (await answer!.arrayBuffer()).byteLength]).toEqual([200, 0]);
  const ahead = await post(ingest, "/v1/traces", spansBody([{ name: "26 ahead", ago: -26 * hour }, { name: "now" }]));
  expect(Buffer.from(await ahead!.arrayBuffer()).toString()).toContain("ahead of the clock by more than a day");
  const rows = await ingest.query(
    "SELECT SpanName AS name, round(dateDiff('second', now(), Timestamp) / 3600) AS hours FROM otel_traces ORDER BY hours",
  );
  expect(rows).toEqual([
    { name: "6 hours", hours: -6 },
    { name: "now", hours: 0 },
    { name: "-6 hours", hours: 6 },
    { name: "-23 hours", hours: 23 },
  ]);
});

test("a million different attribute keys are stored in bounded memory, and can be read", async () => {
  const ingest = await startIngest({ directory });
  await post(ingest, "/v1/traces", spansBody([{ name: "warm" }]));
  const before = (await ingest.state()).rss;
  let key = 0;
  const attribute = () => ({ key: `key.${key++}`, value: { intValue: 1 } });
  const span = (i: number) => ({
    traceId: (i + 1).toString(16).padStart(32, "0"),
    spanId: (i + 1).toString(16).padStart(16, "0"),
    name: "many keys",
    startTimeUnixNano: `${Date.now()}000000`,
    endTimeUnixNano: `${Date.now()}000000`,
    attributes: Array.from({ length: 1_000 }, attribute),
  });
  for (let request = 0; request < 20; request++) {
    const spans = Array.from({ length: 50 }, (_, i) => span(request * 50 + i));
    const body = Buffer.from(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }));
    expect((await post(ingest, "/v1/traces", body, "application/json"))?.status).toBe(200);
  }
  const grown = (await ingest.state()).rss - before;
  expect(grown).toBeLessThan(700 * 1024 * 1024);
  const found = "SELECT count() AS n FROM otel_traces WHERE SpanAttributes['key.999999'] = '1'";
  expect(await ingest.query(found)).toEqual([{ n: 1 }]);
});
