// The store: acknowledged rows survive kill -9, reads are capped and can change nothing, settings do not leak.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openTelemetryStore, type TelemetryStore } from "./clickhouse.ts";
import { encodeLogs, type LogRow, noScope } from "./ingest/log-rows.ts";
import { encodeProtobufSpans } from "./ingest/spans-protobuf.ts";
import { anyTime, liveBounds } from "./ingest/tables.ts";
import { makeSpans } from "./telemetry-fixture.ts";
import { spanCount } from "./traces.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const ingestServer = new URL("./__fixtures__/ingest-server.ts", import.meta.url).pathname;

let directory: string;
let store: TelemetryStore | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-telemetry-"));
});
afterEach(async () => {
  await store?.close();
  store = undefined;
  await rm(directory, { recursive: true, force: true });
});

async function open(options?: { keepExpired: boolean }): Promise<TelemetryStore> {
  store = await openTelemetryStore({ directory }, options);
  return store;
}

/** The store with what a process before acknowledged and left in the spool. */
async function openCaughtUp(): Promise<TelemetryStore> {
  const opened = await open();
  await expect.poll(() => opened.spool().files, { timeout: 30_000 }).toBe(0);
  return opened;
}

async function startIngest(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [ingestServer, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = await once(child.stdout!, "data");
  return { child, url: `http://127.0.0.1:${String(port).trim()}/v1/traces` };
}

test("every span that was acknowledged is there after kill -9 in the middle of the load, three times over", async () => {
  let acknowledged = 0;
  let sent = 0;
  for (let round = 0; round < 3; round++) {
    const { child, url } = await startIngest();
    const goal = acknowledged + 600;
    const send = async () => {
      while (acknowledged < goal) {
        const body = ProtobufTraceSerializer.serializeRequest(
          makeSpans(Array.from({ length: 20 }, () => ({ name: "x" }))),
        )!;
        sent += 20;
        const answer = await fetch(url, {
          method: "POST",
          headers: { "content-type": "application/x-protobuf" },
          body: body as Uint8Array<ArrayBuffer>,
        }).catch(() => null);
        if (answer?.status !== 200) return;
        acknowledged += 20;
      }
      child.kill("SIGKILL");
    };
    await Promise.all([send(), send(), send(), send()]);
    if (child.signalCode === null) await once(child, "exit");
  }
  const { reader } = await openCaughtUp();
  const there = await spanCount(reader, "org_1", tenant);
  expect(acknowledged).toBeGreaterThanOrEqual(1_800);
  expect(there).toBeGreaterThanOrEqual(acknowledged);
  expect(there).toBeLessThanOrEqual(sent);
});

test("batches that are sent until they are acknowledged are stored exactly once, through three kills", async () => {
  const batches = Array.from(
    { length: 120 },
    (_, i) =>
      ProtobufTraceSerializer.serializeRequest(makeSpans(Array.from({ length: 5 }, () => ({ name: `batch ${i}` }))))!,
  );
  let next = 0;
  let unanswered: Uint8Array[] = [];
  for (let round = 0; next < batches.length || unanswered.length > 0; round++) {
    const { child, url } = await startIngest();
    const again = unanswered;
    unanswered = [];
    const send = async () => {
      for (let body = again.pop() ?? batches[next++]; body !== undefined; body = again.pop() ?? batches[next++]) {
        const headers = { "content-type": "application/x-protobuf" };
        const answer = await fetch(url, { method: "POST", headers, body: body as Uint8Array<ArrayBuffer> }).catch(
          () => null,
        );
        // Stored or not, the sender cannot know.
        if (answer?.status !== 200) return void unanswered.push(body);
        if (round < 3 && next > 30 * (round + 1)) child.kill("SIGKILL");
      }
    };
    await Promise.all([send(), send(), send(), send()]);
    unanswered.push(...again);
    child.kill("SIGKILL");
    if (child.signalCode === null) await once(child, "exit");
  }
  const { reader } = await openCaughtUp();
  const [stored] = await reader.query("SELECT count() AS spans, uniqExact(SpanId) AS different FROM otel_traces");
  expect(stored).toEqual({ spans: 600, different: 600 });
}, 60_000);

test("a directory that another process holds is said to be held; rows it left half-written are cleared", async () => {
  await writeFile(join(directory, "x"), "");
  const { child } = await startIngest();
  await writeFile(join(directory, "incoming", "left.rows.part"), "half");
  await expect(open()).rejects.toMatchObject({ code: "data_directory_held", fix: expect.stringContaining("--data") });
  child.kill("SIGKILL");
  await once(child, "exit");
  await open();
  expect((await readdir(join(directory, "incoming"))).filter((name) => !name.endsWith(".requests"))).toEqual([]);
}, 60_000);

test("a directory that cannot be written says so", async () => {
  const blocked = join(directory, "file");
  await writeFile(blocked, "");
  await expect(openTelemetryStore({ directory: join(blocked, "below") })).rejects.toMatchObject({
    code: "data_directory_unwritable",
  });
});

describe("reads", () => {
  test("can change nothing and open no file", async () => {
    const { reader } = await open();
    for (const sql of [
      "DROP TABLE otel_traces",
      "INSERT INTO tsdev_migrations VALUES (9, 'x', now())",
      "SET readonly = 0",
      "SET max_execution_time = 1000",
      "SELECT * FROM file('/etc/passwd', LineAsString)",
      "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
    ]) {
      await expect(reader.query(sql), sql).rejects.toMatchObject({ code: "internal" });
    }
    expect(await reader.query("SELECT count() AS n FROM tsdev_migrations WHERE id = 9")).toEqual([{ n: 0 }]);
  });

  test("that need too much memory fail, and the store goes on", async () => {
    const { reader } = await open();
    const greedy = "SELECT length(groupArray(repeat('x', 1000))) FROM numbers(100000000)";
    await expect(reader.query(greedy)).rejects.toMatchObject({ code: "invalid_input" });
    await expect(reader.query("SELECT number FROM numbers(300000)")).rejects.toMatchObject({ code: "invalid_input" });
    expect(await reader.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("that fail leave nothing of what they had read to the next query", async () => {
    const { reader } = await open();
    for (const sql of [
      "SELECT number AS secret FROM numbers(300000)",
      "SELECT number AS secret, throwIf(number = 150000) FROM numbers(160000)",
      "SELECT nothing AS secret FROM numbers(3)",
    ]) {
      await expect(reader.query(sql)).rejects.toThrow();
      const [one, two] = await Promise.all([
        reader.query("SELECT 1 AS one"),
        reader.query("SELECT {x:UInt8} AS two", { x: 2 }),
      ]);
      expect([one, two]).toEqual([[{ one: 1 }], [{ two: 2 }]]);
    }
  });

  test("bind text as text, whatever stands in it", async () => {
    const { reader } = await open();
    const values = [
      "\n\nDROP TABLE otel_traces\n\n",
      "'; DROP TABLE otel_traces; --",
      "\\'",
      "\t\u0000x",
      "{x:String}",
      "ü🎈",
    ];
    for (const x of values) {
      expect(await reader.query("SELECT {x:String} AS x, {list:Array(String)} AS list", { x, list: [x, "b"] })).toEqual(
        [{ x, list: [x, "b"] }],
      );
    }
    expect(await reader.query("SELECT count() AS n FROM otel_traces")).toEqual([{ n: 0 }]);
  });

  test("give integers as numbers where they fit and as text where they do not", async () => {
    const { reader } = await open();
    expect(
      await reader.query(
        "SELECT toUInt64(7) AS small, 18446744073709551615 AS big, [9007199254740993] AS list, '12345678901234567890' AS text",
      ),
    ).toEqual([{ small: 7, big: "18446744073709551615", list: ["9007199254740993"], text: "12345678901234567890" }]);
  });

  test("go on beside a long read", async () => {
    const { reader } = await open();
    const order: string[] = [];
    const long = reader.query("SELECT sleepEachRow(0.5) FROM numbers(3)").then(() => order.push("long"));
    await reader.query("SELECT 1").then(() => order.push("short"));
    await long;
    expect(order).toEqual(["short", "long"]);
  });

  test("go on beside an insert, and an insert beside a long read", async () => {
    const { reader, insert } = await open();
    const long = reader.query("SELECT sleepEachRow(0.5) AS slept FROM numbers(4)");
    let ended = false;
    void long.finally(() => {
      ended = true;
    });
    const { rows, accepted } = encodeProtobufSpans(
      ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: "beside" }]))!,
      tenant,
      liveBounds(14),
    );
    await insert("otel_traces", rows, accepted);
    expect(ended).toBe(false);
    await long;
    expect(await spanCount(reader, "org_1", tenant)).toBe(1);
  });
});

function log(body: string): LogRow {
  return {
    time: BigInt(Date.now()) * 1_000_000n,
    traceId: "",
    spanId: "",
    flags: 0,
    severityText: "",
    severityNumber: 9,
    service: "shop",
    body,
    resource: [],
    resourceSchemaUrl: "",
    scope: noScope,
    attributes: [],
    eventName: "",
    tenant,
    deployment: "",
  };
}

test("equal rows one after another are all stored: no setting of one insert reaches the next", async () => {
  const { reader, insert } = await open();
  const rows = encodeLogs([log("same")], 14);
  for (let i = 0; i < 4; i++) await insert("otel_logs", rows, 1);
  await Promise.all([insert("otel_logs", rows, 1), insert("otel_logs", rows, 1), insert("otel_logs", rows, 1)]);
  expect(await reader.query("SELECT count() AS n FROM otel_logs WHERE Body = 'same'")).toEqual([{ n: 7 }]);
});

test("rows that the engine refuses fail alone, those merged with them are stored", async () => {
  const { reader, insert } = await open();
  const good = () => encodeLogs([log("good")], 14);
  const broken = good().subarray(0, 20);
  // The first insert runs alone; the rest wait for it and are merged.
  const outcomes = await Promise.allSettled([
    insert("otel_logs", good(), 1),
    insert("otel_logs", good(), 1),
    insert("otel_logs", broken, 1),
    insert("otel_logs", good(), 1),
  ]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
  expect(await reader.query("SELECT count() AS n FROM otel_logs WHERE Body = 'good'")).toEqual([{ n: 3 }]);
});

test("more than may wait is refused instead of kept in memory", async () => {
  const { insert } = await open();
  const rows = encodeLogs([log("x".repeat(20 * 1024 * 1024))], 14);
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => insert("otel_logs", rows, 1)));
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(8);
  expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({ code: "rate_limited" });
});

test("with keepExpired, spans older than the retention stay to be analyzed", async () => {
  const { reader, insert } = await open({ keepExpired: true });
  const old = Array.from({ length: 300 }, (_, i) => ({ name: "old", ago: (20 + i) * 86_400_000 }));
  const { rows, accepted } = encodeProtobufSpans(
    ProtobufTraceSerializer.serializeRequest(makeSpans(old))!,
    tenant,
    anyTime,
  );
  await insert("otel_traces", rows, accepted);
  expect(await spanCount(reader, "org_1", tenant)).toBe(300);
});
