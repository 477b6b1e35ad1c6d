// Mutated payloads: whatever arrives is refused or becomes whole rows of its own tenant, in bounded memory.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { readJson } from "./json-fields.ts";
import { encodeLogs, readJsonLogs, readProtobufLogs, withinBounds } from "./log-rows.ts";
import { encodeJsonMetrics } from "./metrics-json.ts";
import { encodeProtobufMetrics } from "./metrics-protobuf.ts";
import { protobufOf } from "./otlp-messages.fixture.ts";
import { readRows } from "./row-reader.fixture.ts";
import { encodeJsonSpans } from "./spans-json.ts";
import { encodeProtobufSpans } from "./spans-protobuf.ts";
import { type IngestTable, liveBounds } from "./tables.ts";

/** Of each of six targets, so 12,000 in all. */
const runs = Number(process.env.TSDEV_FUZZ_RUNS ?? 2_000);

const bounds = liveBounds(14);
const tenant = newTenant();
const now = `${Date.now()}000000`;

let telemetry: TemporaryTelemetry;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(() => telemetry[Symbol.asyncDispose]());

const attributes = [
  { key: "service.name", value: { stringValue: "shop" } },
  { key: "tsdev.deployment", value: { stringValue: "dep_1" } },
  { key: "sql", value: { stringValue: "SELECT 1;\n\nDROP TABLE otel_traces" } },
  { key: "Grüße", value: { intValue: "-9223372036854775808" } },
  { key: "ratio", value: { doubleValue: 0.1 } },
  { key: "yes", value: { boolValue: true } },
  { key: "bytes", value: { bytesValue: "AAH/" } },
  {
    key: "list",
    value: {
      arrayValue: {
        values: [{ stringValue: "a" }, { kvlistValue: { values: [{ key: "k", value: { intValue: 7 } }] } }],
      },
    },
  },
];
const ids = { traceId: "ab".repeat(16), spanId: "cd".repeat(8) };
const resource = { attributes, droppedAttributesCount: 1 };
const scope = { name: "scope", version: "1", attributes, droppedAttributesCount: 2 };
const exemplars = [{ filteredAttributes: attributes, timeUnixNano: now, asDouble: 1.5, ...ids }];
const point = { attributes, startTimeUnixNano: now, timeUnixNano: now, exemplars, flags: 1 };

const traces = {
  resourceSpans: [
    {
      resource,
      scopeSpans: [
        {
          scope,
          spans: [
            {
              ...ids,
              parentSpanId: "ef".repeat(8),
              traceState: "ot=th:8,a=b",
              name: "GET /orders",
              kind: 2,
              startTimeUnixNano: now,
              endTimeUnixNano: now,
              attributes,
              events: [{ timeUnixNano: now, name: "exception", attributes }],
              links: [{ ...ids, traceState: "a=b", attributes }],
              status: { message: "lost", code: 2 },
            },
            { ...ids, name: "second", startTimeUnixNano: now },
          ],
        },
      ],
    },
  ],
};
const logs = {
  resourceLogs: [
    {
      resource,
      scopeLogs: [
        {
          scope,
          logRecords: [
            {
              timeUnixNano: now,
              severityNumber: 9,
              severityText: "INFO",
              body: { stringValue: "taken" },
              attributes,
              ...ids,
              flags: 1,
              eventName: "e",
            },
            { observedTimeUnixNano: now, body: { kvlistValue: { values: attributes } } },
          ],
        },
      ],
      schemaUrl: "https://schema",
    },
  ],
};
const metrics = {
  resourceMetrics: [
    {
      resource,
      scopeMetrics: [
        {
          scope,
          metrics: [
            { name: "g", description: "d", unit: "1", gauge: { dataPoints: [{ ...point, asInt: "7" }] } },
            {
              name: "s",
              sum: { dataPoints: [{ ...point, asDouble: 7.5 }], aggregationTemporality: 2, isMonotonic: true },
            },
            {
              name: "h",
              histogram: {
                dataPoints: [
                  { ...point, count: "3", sum: 4, bucketCounts: ["1", "2"], explicitBounds: [5], min: 0, max: 9 },
                ],
                aggregationTemporality: 1,
              },
            },
            {
              name: "e",
              exponentialHistogram: {
                dataPoints: [
                  {
                    ...point,
                    count: "3",
                    sum: 4,
                    scale: -3,
                    zeroCount: "1",
                    positive: { offset: -1, bucketCounts: ["1", "300"] },
                    negative: { offset: 4, bucketCounts: ["2"] },
                  },
                ],
                aggregationTemporality: 1,
              },
            },
            {
              name: "q",
              summary: {
                dataPoints: [
                  { attributes, timeUnixNano: now, count: "1", sum: 2, quantileValues: [{ quantile: 0.5, value: 2 }] },
                ],
              },
            },
          ],
        },
      ],
    },
  ],
};

type Encoded = Array<{ table: IngestTable; rows: Buffer; count: number }>;
type Encode = (body: Buffer) => Encoded;

const logRows = (kept: ReturnType<typeof withinBounds>): Encoded => [
  { table: "otel_logs", rows: encodeLogs(kept.kept, 14), count: kept.accepted },
];
const targets: Array<[name: string, body: Buffer, encode: Encode]> = [
  [
    "traces in protobuf",
    protobufOf("Traces", traces),
    (body) => {
      const { rows, accepted } = encodeProtobufSpans(body, tenant, bounds);
      return [{ table: "otel_traces", rows, count: accepted }];
    },
  ],
  [
    "traces in JSON",
    Buffer.from(JSON.stringify(traces)),
    (body) => {
      const { rows, accepted } = readJson(body, (sent) => encodeJsonSpans(sent, tenant, bounds));
      return [{ table: "otel_traces", rows, count: accepted }];
    },
  ],
  [
    "logs in protobuf",
    protobufOf("Logs", logs),
    (body) => logRows(withinBounds(readProtobufLogs(body, tenant), bounds)),
  ],
  [
    "logs in JSON",
    Buffer.from(JSON.stringify(logs)),
    (body) =>
      logRows(
        withinBounds(
          readJson(body, (sent) => readJsonLogs(sent, tenant)),
          bounds,
        ),
      ),
  ],
  ["metrics in protobuf", protobufOf("Metrics", metrics), (body) => encodeProtobufMetrics(body, tenant, bounds).tables],
  [
    "metrics in JSON",
    Buffer.from(JSON.stringify(metrics)),
    (body) => readJson(body, (sent) => encodeJsonMetrics(sent, tenant, bounds)).tables,
  ],
];

/** Any place is as likely: fast-check leans to the least value, which is the first byte, whose loss ends all. */
const anywhere = fc.noBias(fc.nat(9_999)).map((place) => place / 10_000);

/** An edit at a place that is a share of the body's length. */
const editBy = (...hows: How[]) =>
  fc.record({
    at: anywhere,
    how: fc.noBias(fc.constantFrom(...hows)),
    byte: fc.oneof(fc.constantFrom(0, 0x0a, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5b, 0x2d, 0x5c), fc.nat(255)),
    length: fc.oneof(fc.nat(8), fc.nat(300)),
  });
type How = "flip" | "set" | "insert" | "delete" | "repeat" | "cut" | "move" | "zero";
/** Most lengths stay true, so that what stands in them is reached. */
const inPlace = editBy("flip", "set");
const any = editBy("flip", "set", "insert", "delete", "repeat", "cut", "move", "zero");
type Edit = typeof any extends fc.Arbitrary<infer T> ? T : never;

function edited(body: Buffer, { at, how, byte, length }: Edit): Buffer {
  const place = Math.floor(at * body.length);
  const [before, after] = [body.subarray(0, place), body.subarray(place)];
  const part = after.subarray(0, length);
  switch (how) {
    case "flip":
    case "set": {
      const changed = Buffer.from(body);
      if (place < changed.length) changed[place] = how === "set" ? byte : changed[place]! ^ (1 << (byte % 8));
      return changed;
    }
    case "insert":
      return Buffer.concat([before, Buffer.alloc(1 + (length % 12), byte), after]);
    case "delete":
      return Buffer.concat([before, after.subarray(length)]);
    case "repeat":
      return Buffer.concat([before, ...Array.from({ length: 1 + (byte % 16) }, () => part), after]);
    case "cut":
      return before;
    case "move":
      return Buffer.concat([after.subarray(length), before, part]);
    case "zero":
      return Buffer.concat([before, Buffer.alloc(part.length), after.subarray(part.length)]);
  }
}

/** In JSON: a value anywhere becomes another. Edits of bytes alone break JSON nearly always. */
const replacement = fc.record({
  at: anywhere,
  value: fc.oneof(
    fc.constantFrom<unknown>(
      null,
      [],
      {},
      "",
      -1,
      1.5,
      1e300,
      2 ** 63,
      "18446744073709551615",
      "-1",
      "NaN",
      "\ud800",
      "0x10",
      "AQI=",
    ),
    fc.constantFrom<unknown>("SPAN_KIND_SERVER", { stringValue: 7 }, { arrayValue: [] }, [null, 7], {
      __proto__: null,
      constructor: 1,
    }),
    fc.jsonValue({ maxDepth: 3 }),
  ),
});

function replaced(request: unknown, { at, value }: { at: number; value: unknown }): unknown {
  const places: Array<[parent: Record<string, unknown>, name: string]> = [];
  const collect = (node: unknown) => {
    if (typeof node !== "object" || node === null) return;
    for (const [name, inner] of Object.entries(node)) {
      places.push([node as Record<string, unknown>, name]);
      collect(inner);
    }
  };
  collect(request);
  if (places.length === 0) return request;
  const [parent, name] = places[Math.floor(at * places.length)]!;
  parent[name] = structuredClone(value);
  return request;
}

/** Bodies made of a target's own. */
function mutations(name: string, body: Buffer): fc.Arbitrary<Buffer> {
  const bytes = fc
    .oneof(fc.array(inPlace, { minLength: 1, maxLength: 3 }), fc.array(any, { minLength: 1, maxLength: 5 }))
    .map((edits) => edits.reduce(edited, body));
  if (!name.endsWith("JSON")) return bytes;
  const values = fc
    .array(replacement, { minLength: 1, maxLength: 4 })
    .map((list) => Buffer.from(JSON.stringify(list.reduce<unknown>(replaced, JSON.parse(body.toString())))));
  return fc.oneof({ weight: 1, arbitrary: bytes }, { weight: 4, arbitrary: values });
}

test.each(targets)(
  "%s: mutated payloads are refused, or become whole rows of their own tenant",
  { timeout: 120_000 },
  async (name, body, encode) => {
    for (const { table, rows, count } of encode(body)) expect(readRows(table, rows)).toHaveLength(count);
    const kept = new Map<IngestTable, { rows: Buffer[]; count: number }>();
    let [taken, refused] = [0, 0];
    const before = process.memoryUsage().rss;
    fc.assert(
      fc.property(mutations(name, body), (sent) => {
        let encoded: Encoded;
        try {
          encoded = encode(sent);
        } catch (error) {
          // What ingest answers with 400; anything of the runtime's own would be a mistake of ours.
          expect(error).toBeInstanceOf(Error);
          expect(error).not.toBeInstanceOf(RangeError);
          expect(error).not.toBeInstanceOf(TypeError);
          expect(error).not.toBeInstanceOf(ReferenceError);
          refused++;
          return;
        }
        taken++;
        for (const { table, rows, count } of encoded) {
          const read = readRows(table, rows);
          expect(read).toHaveLength(count);
          for (const row of read) {
            expect([row.Organization, row.Project, row.Environment, row.RetentionDays]).toEqual([
              tenant.organizationId,
              tenant.project,
              tenant.environment,
              14,
            ]);
          }
          const all = kept.get(table) ?? { rows: [], count: 0 };
          all.rows.push(Buffer.from(rows));
          all.count += count;
          kept.set(table, all);
        }
      }),
      { numRuns: runs, seed: 5 },
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * 1024 * 1024);
    // Both ends are reached: mutations that break nothing, or everything, would prove nothing.
    expect(Math.min(taken, refused)).toBeGreaterThan(runs / 100);
    expect([...kept.values()].reduce((sum, { count }) => sum + count, 0)).toBeGreaterThan(runs / 5);
    for (const [table, { rows, count }] of kept) {
      const stored = async () => {
        const [row] = await telemetry.store.reader.query<{ Own: number; Others: number }>(
          `SELECT countIf(Organization = {org:String}) AS Own, countIf(Organization != {org:String}) AS Others FROM ${table}`,
          { org: tenant.organizationId },
        );
        return { own: Number(row!.Own), others: Number(row!.Others) };
      };
      const earlier = await stored();
      await telemetry.store.insert(table, Buffer.concat(rows), count);
      expect(await stored()).toEqual({ own: earlier.own + count, others: 0 });
    }
  },
);
