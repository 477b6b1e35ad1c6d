// Logs: process output and OTLP logs are found, paged and followed, each by its own organization alone.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Ingest } from "./ingest/ingest.ts";
import type { Tenant } from "./ingest/tables.ts";
import type { ProcessLine } from "./log-sink.ts";
import { type Logs, openLogs } from "./logs.ts";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "./telemetry-fixture.ts";
import { Cursor } from "./time-range.ts";
import type { LogRecord } from "./trace.ts";

let telemetry: TemporaryTelemetry;
let logs: Logs;
let tenant: Tenant;

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  logs = openLogs(telemetry.store);
});
afterAll(async () => {
  await logs.close();
  await telemetry[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = newTenant();
});

function line(text: string, parts: Partial<ProcessLine> = {}): ProcessLine {
  return {
    ...tenant,
    deploymentId: "dep_1",
    instanceId: "ins_1",
    service: "shop",
    stream: "stdout",
    time: Date.now(),
    text,
    ...parts,
  };
}

const texts = (records: LogRecord[]) => records.map((record) => record.text);

test("lines are found newest last, in the order in which one millisecond printed them", async () => {
  const time = Date.now();
  await logs.write(Array.from({ length: 50 }, (_, i) => line(`line ${i}`, { time })));
  const { records, cursor } = await logs.search({ ...tenant, limit: 100 });
  expect(texts(records)).toEqual(Array.from({ length: 50 }, (_, i) => `line ${i}`));
  expect(cursor).toBeNull();
  expect(records[0]).toEqual({
    time: new Date(time).toISOString(),
    nanoseconds: expect.stringMatching(/^\d{19}$/),
    project: "shop",
    environment: "production",
    deployment: "dep_1",
    instance: "ins_1",
    service: "shop",
    severity: "info",
    stream: "stdout",
    text: "line 0",
    traceId: null,
    spanId: null,
    attributes: { "log.iostream": "stdout" },
  });
});

test("the lines around one are those before and after it, whatever a search left out", async () => {
  const time = Date.now() - 60_000;
  await logs.write(Array.from({ length: 9 }, (_, i) => line(i === 4 ? "[ERROR] it" : `line ${i}`, { time: time + i })));
  const { records } = await logs.search({ ...tenant, severity: "error", limit: 10 });
  expect(texts(records)).toEqual(["[ERROR] it"]);
  const around = await logs.context({ ...tenant, at: records[0]!.nanoseconds, before: 2, after: 3 });
  expect(texts(around)).toEqual(["line 2", "line 3", "[ERROR] it", "line 5", "line 6", "line 7"]);
});

test("the histogram counts by severity in every stretch, and attributes narrow it and the search", async () => {
  const since = Date.now() - 60_000;
  await logs.write([
    line("one", { time: since + 500 }),
    line("two", { time: since + 700, stream: "stderr" }),
    line("three", { time: since + 2_500 }),
  ]);
  const { everyMs, points } = await logs.histogram({ ...tenant, since, until: since + 4_000 }, 4);
  expect(everyMs).toBe(1_000);
  expect(points.map(({ at, info, error }) => [at - since, info, error])).toEqual([
    [0, 1, 1],
    [1_000, 0, 0],
    [2_000, 1, 0],
    [3_000, 0, 0],
  ]);
  const errors = await logs.search({ ...tenant, attributes: ["log.iostream=stderr"], limit: 10 });
  expect(texts(errors.records)).toEqual(["two"]);
  expect(texts((await logs.search({ ...tenant, service: "other", limit: 10 })).records)).toEqual([]);
});

test("pages go back in time without a gap and without a repeat", async () => {
  await logs.write(Array.from({ length: 25 }, (_, i) => line(`line ${i}`)));
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await logs.search({
      ...tenant,
      limit: 10,
      cursor: cursor === undefined ? undefined : Cursor.parse(cursor),
    });
    found.unshift(...texts(page.records));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  expect(found).toEqual(Array.from({ length: 25 }, (_, i) => `line ${i}`));
});

test("search, severity, deployment and time narrow down", async () => {
  const hourAgo = Date.now() - 3_600_000;
  await logs.write([
    line("ERROR Card was refused: 100%_sure\\"),
    line("card accepted", { deploymentId: "dep_2" }),
    line("CARD from long ago", { time: hourAgo }),
    line('{"level":40,"msg":"warned"}'),
  ]);
  const search = async (filter: object) => texts((await logs.search({ ...tenant, limit: 10, ...filter })).records);
  expect(await search({ search: "card", since: hourAgo + 1_000 })).toEqual([
    "ERROR Card was refused: 100%_sure\\",
    "card accepted",
  ]);
  expect(await search({ search: "Card" })).toEqual(["ERROR Card was refused: 100%_sure\\"]);
  expect(await search({ search: "Card was refused: 100%_sure\\" })).toHaveLength(1);
  expect(await search({ search: "Card%refused" })).toEqual([]);
  expect(await search({ severity: "warn" })).toEqual([
    "ERROR Card was refused: 100%_sure\\",
    '{"level":40,"msg":"warned"}',
  ]);
  expect(await search({ deployment: "dep_2" })).toEqual(["card accepted"]);
  expect(await search({ until: hourAgo + 1_000 })).toEqual(["CARD from long ago"]);
});

test("a line with blank lines, SQL and bytes of all kinds is a line", async () => {
  const text = "\n\nDROP TABLE otel_logs\n\n'; \\ \u0000 \u001b[31mred\u001b[0m 🎈";
  await logs.write([line(text)]);
  expect(texts((await logs.search({ ...tenant, limit: 5 })).records)).toEqual([text]);
  expect(texts((await logs.search({ ...tenant, limit: 5, search: "\n\nDROP TABLE otel_logs\n\n';" })).records)).toEqual(
    [text],
  );
});

test("an organization sees its own lines alone, in searches and when it follows", async () => {
  const other = newTenant();
  const stop = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const record of logs.tail(other, stop.signal)) seen.push(record.text);
  })();
  await logs.write([line("mine"), line("theirs", { organizationId: other.organizationId })]);
  await expect.poll(() => seen).toEqual(["theirs"]);
  expect(texts((await logs.search({ ...tenant, limit: 5 })).records)).toEqual(["mine"]);
  stop.abort();
  await following;
});

test("a follower sees a line within half a second", async () => {
  const stop = new AbortController();
  const arrived = Promise.withResolvers<number>();
  const following = (async () => {
    for await (const record of logs.tail({ ...tenant, search: "needle" }, stop.signal)) {
      expect(record.text).toBe("the needle");
      arrived.resolve(Date.now());
    }
  })();
  await new Promise((settle) => setImmediate(settle));
  const at = Date.now();
  await logs.write([line("hay"), line("the needle")]);
  expect((await arrived.promise) - at).toBeLessThan(500);
  stop.abort();
  await following;
});

test("a follower with context gets the lines around each match, of the same service, none twice", async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const record of logs.tail({ ...tenant, search: "needle", context: 2 }, stop.signal)) {
      seen.push(`${record.context ? "-" : ":"}${record.text}`);
    }
  })();
  await new Promise((settle) => setImmediate(settle));
  const apart = { organizationId: newTenant().organizationId };
  await logs.write([line("a"), line("b"), line("c"), line("not yours", apart), line("needle 1"), line("d")]);
  await logs.write([line("needle 2"), line("e"), line("f"), line("g"), line("h"), line("i"), line("needle 3")]);
  await expect.poll(() => seen.at(-1)).toBe(":needle 3");
  expect(seen).toEqual(["-b", "-c", ":needle 1", "-d", ":needle 2", "-e", "-f", "-h", "-i", ":needle 3"]);
  stop.abort();
  await following;
});

test("a match of the past that a follower was shown does not come again as the context of a later one", async () => {
  await logs.write([line("past needle")]);
  const stop = new AbortController();
  const seen: string[] = [];
  const filter = { ...tenant, search: "needle", context: 3, since: Date.now() - 60_000 };
  const following = (async () => {
    for await (const record of logs.tail(filter, stop.signal)) seen.push(`${record.context ? "-" : ":"}${record.text}`);
  })();
  await expect.poll(() => seen).toEqual([":past needle"]);
  await logs.write([line("between"), line("live needle")]);
  await expect.poll(() => seen.at(-1)).toBe(":live needle");
  expect(seen).toEqual([":past needle", "-between", ":live needle"]);
  stop.abort();
  await following;
});

test("a follower that starts in the past gets every line once, across the join", async () => {
  await logs.write([line("one"), line("two")]);
  const stop = new AbortController();
  const seen: string[] = [];
  const writing = (async () => {
    for (let i = 0; i < 40; i++) await Promise.race([logs.write([line(`live ${i}`)]), new Promise(setImmediate)]);
  })();
  const following = (async () => {
    for await (const record of logs.tail({ ...tenant, since: Date.now() - 60_000 }, stop.signal))
      seen.push(record.text);
  })();
  await writing;
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(42);
  expect(seen).toEqual(["one", "two", ...Array.from({ length: 40 }, (_, i) => `live ${i}`)]);
  stop.abort();
  await following;
});

test("a follower that does not read is told how many lines it missed", async () => {
  const stop = new AbortController();
  const tail = logs.tail(tenant, stop.signal)[Symbol.asyncIterator]();
  const first = tail.next();
  await new Promise((settle) => setImmediate(settle));
  await logs.write(Array.from({ length: 10_050 }, (_, i) => line(`line ${i}`)));
  await first;
  const seen: string[] = [];
  for (let i = 0; i < 10_000; i++) seen.push((await tail.next()).value.text);
  expect(seen.at(-1)).toMatch(/^\d+ lines were left out/);
  stop.abort();
  await tail.return?.();
});

test("OTLP log records are found with their severity and trace", async () => {
  const ingest = new Ingest(telemetry.store);
  const traceId = "ab".repeat(16);
  const timeUnixNano = `${Date.now()}000000`;
  const request = {
    resourceLogs: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "api" } }] },
        scopeLogs: [
          {
            scope: { name: "logger" },
            logRecords: [
              { timeUnixNano, severityNumber: 17, body: { stringValue: "broke" }, traceId, spanId: "cd".repeat(8) },
              {
                observedTimeUnixNano: timeUnixNano,
                body: { kvlistValue: { values: [{ key: "a", value: { intValue: "1" } }] } },
              },
              { body: { stringValue: "without a time" } },
              { timeUnixNano: "1", body: { stringValue: "from 1970" } },
            ],
          },
        ],
      },
    ],
  };
  const result = await ingest.logs(Buffer.from(JSON.stringify(request)), "json", tenant);
  expect(result).toMatchObject({ accepted: 3, rejected: 1 });
  const { records } = await logs.search({ ...tenant, limit: 10 });
  expect(records.find((record) => record.text === "broke")).toMatchObject({
    service: "api",
    severity: "error",
    traceId,
  });
  expect(texts(records).toSorted()).toEqual(["broke", "without a time", '{"a":1}']);
});
