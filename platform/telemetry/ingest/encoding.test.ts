// Bodies to rows: protobuf and JSON give the same bytes, and what is wrong is refused without taking the rest along.
import { SpanKind } from "@opentelemetry/api";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { expect, test } from "vitest";
import { makeSpans } from "../telemetry-fixture.ts";
import { attributeBytes, attributeLimit, cutWarning, droppedAttribute } from "./attribute-limits.ts";
import { readJson } from "./json-fields.ts";
import { readJsonLogs, readProtobufLogs, withinBounds } from "./log-rows.ts";
import { protobufOf } from "./otlp-messages.fixture.ts";
import { encodeFields, MalformedProtobuf } from "./protobuf.ts";
import { TooManyRowBytes } from "./row-binary.ts";
import { encodeJsonSpans } from "./spans-json.ts";
import { encodeProtobufSpans } from "./spans-protobuf.ts";
import { type EncodedRows, liveBounds } from "./tables.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const bounds = liveBounds(14);

const spans = makeSpans(
  [
    {
      name: "GET /orders/:id",
      kind: SpanKind.SERVER,
      error: "boom ✗",
      attributes: {
        "http.route": "/orders/:id",
        count: 51,
        negative: -7,
        huge: Number.MAX_SAFE_INTEGER,
        ratio: 0.25,
        yes: true,
        list: ["a", "b\n\nc"],
        numbers: [1, 2, 3],
        "long text": "x".repeat(70_000),
        umlaut: "Grüße 🎈",
      },
      events: [{ name: "exception", attributes: { "exception.message": "boom" } }, { name: "second" }],
      children: [{ name: "SELECT\n\nDROP TABLE otel_traces", kind: SpanKind.CLIENT }, { name: "" }],
    },
    { name: "other" },
  ],
  { "tsdev.deployment": "dep_1" },
);

test("protobuf and JSON of the same spans are the same rows, byte for byte", () => {
  const protobuf = encodeProtobufSpans(ProtobufTraceSerializer.serializeRequest(spans)!, tenant, bounds);
  const json = JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(spans)!).toString());
  const rows = encodeJsonSpans(json, tenant, bounds);
  expect(protobuf).toMatchObject({ accepted: 4, rejected: 0, reason: "" });
  expect(rows).toMatchObject({ accepted: 4, rejected: 0, reason: "" });
  expect(protobuf.rows.equals(rows.rows)).toBe(true);
});

test("a resource that stands after its spans is found", () => {
  const text = (value: string) => encodeFields([[1, value]]);
  const resource = encodeFields([
    [
      1,
      encodeFields([
        [1, "service.name"],
        [2, text("late")],
      ]),
    ],
    [
      1,
      encodeFields([
        [1, "tsdev.deployment"],
        [2, text("dep_9")],
      ]),
    ],
  ]);
  const body = encodeFields([
    [
      1,
      encodeFields([
        [2, encodeFields([[2, span()]])],
        [1, resource],
      ]),
    ],
  ]);
  const { rows, accepted } = encodeProtobufSpans(body, tenant, bounds);
  expect(accepted).toBe(1);
  expect(rows.includes("late")).toBe(true);
  expect(rows.subarray(-15, -10).toString()).toBe("dep_9");
});

function time(nanoseconds: bigint, field: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeBigUInt64LE(nanoseconds, 1);
  return bytes;
}

function span(parts: { traceId?: Buffer; start?: bigint; name?: Buffer } = {}): Buffer {
  const start = parts.start ?? BigInt(Date.now()) * 1_000_000n;
  return Buffer.concat([
    encodeFields([
      [1, parts.traceId ?? Buffer.alloc(16, 0xab)],
      [2, Buffer.alloc(8, 0xcd)],
      [5, parts.name ?? Buffer.from("GET /")],
    ]),
    time(start, 7),
    time(start + 1_000n, 8),
  ]);
}

const request = (...spans: Buffer[]) =>
  encodeFields([[1, encodeFields([[2, encodeFields(spans.map((one) => [2, one] as [number, Buffer]))]])]]);

test("a span without ids, or from a time that is not kept, is refused alone and the reason is told", () => {
  const body = request(span(), span({ traceId: Buffer.alloc(16) }), span({ traceId: Buffer.alloc(3, 1) }));
  expect(encodeProtobufSpans(body, tenant, bounds)).toMatchObject({
    accepted: 1,
    rejected: 2,
    reason: expect.stringContaining("trace id"),
  });
  for (const start of [0n, 1n, 2n ** 63n - 1n, 2n ** 64n - 2_000n]) {
    expect(encodeProtobufSpans(request(span({ start }), span()), tenant, bounds)).toMatchObject({
      accepted: 1,
      rejected: 1,
      reason: expect.stringContaining("start"),
    });
  }
});

test("bytes that are not UTF-8 become replacement characters, short and long", () => {
  for (const length of [3, 300]) {
    const name = Buffer.concat([Buffer.from("x".repeat(length)), Buffer.from([0xff, 0xc3])]);
    const { rows } = encodeProtobufSpans(request(span({ name })), tenant, bounds);
    expect(rows.includes(Buffer.from(`${"x".repeat(length)}\uFFFD\uFFFD`))).toBe(true);
    expect(rows.includes(name)).toBe(false);
  }
});

test("a body cut or flipped anywhere is malformed or smaller, and never anything else", () => {
  const body = Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!);
  const short = Buffer.concat([body.subarray(0, 1_500)]);
  for (let end = 0; end < short.length; end++) {
    expect(() => encodeProtobufSpans(short.subarray(0, end), tenant, bounds)).toSatisfy(isHandled);
  }
  for (let at = 0; at < short.length; at += 3) {
    const flipped = Buffer.from(short);
    flipped[at]! ^= 1 << (at % 8);
    expect(() => encodeProtobufSpans(flipped, tenant, bounds)).toSatisfy(isHandled);
  }
});

function isHandled(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    return error instanceof MalformedProtobuf;
  }
}

test("a value nested without end is malformed and no overflow of the stack", () => {
  let value = encodeFields([[1, "deep"]]);
  for (let depth = 0; depth < 5_000; depth++) value = encodeFields([[5, encodeFields([[1, value]])]]);
  const attribute = encodeFields([
    [1, "a"],
    [2, value],
  ]);
  const body = request(Buffer.concat([span(), encodeFields([[9, attribute]])]));
  expect(() => encodeProtobufSpans(body, tenant, bounds)).toThrow(MalformedProtobuf);
  let inJson: object = { stringValue: "deep" };
  for (let depth = 0; depth < 1_000; depth++) inJson = { arrayValue: { values: [inJson] } };
  const deep = { resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: inJson }] } }] };
  expect(() => encoded(deep)).toThrow("nested deeper");
  // Depths that no call stack holds.
  expect(() => encoded(`{"resourceSpans":[{"resource":${'{"a":'.repeat(1_000_000)}`)).toThrow("JSON");
});

test("JSON with odd but legal forms is read, and with wrong ones the span is refused", () => {
  const start = `${Date.now()}000000`;
  const one = { traceId: "AB".repeat(16), spanId: "cd".repeat(8), startTimeUnixNano: start, endTimeUnixNano: start };
  const wrap = (...list: unknown[]) => ({ resourceSpans: [{ scopeSpans: [{ spans: list }] }] });
  const accepted = wrap(
    { ...one, kind: "SPAN_KIND_SERVER", status: { code: "STATUS_CODE_ERROR" }, unknown: { x: 1 } },
    { ...one, startTimeUnixNano: Number(start), name: "lone \ud800 surrogate", attributes: [null, { key: "k" }] },
    { ...one, kind: 99, attributes: [{ key: "n", value: { doubleValue: "NaN" } }] },
  );
  const result = encoded(accepted);
  expect(result).toMatchObject({ accepted: 3, rejected: 0 });
  for (const text of ["Server", "Error", "ab".repeat(16), "lone \uFFFD surrogate", "NaN", "unknown_service"]) {
    expect(result.rows.includes(text)).toBe(true);
  }
  // Ids in base64 are how senders of old wrote them.
  const refused = wrap({ ...one, traceId: Buffer.alloc(16, 1).toString("base64") }, null, 7, {
    ...one,
    startTimeUnixNano: -1,
  });
  expect(encodeJsonSpans(refused, tenant, bounds)).toMatchObject({ accepted: 0, rejected: 4 });
});

function encoded(request: unknown): EncodedRows {
  const body = Buffer.from(typeof request === "string" ? request : JSON.stringify(request));
  return readJson(body, (sent) => encodeJsonSpans(sent, tenant, bounds));
}

test("JSON of which nothing would be stored in silence is refused", () => {
  for (const [request, reason] of [
    [{ resourceSpans: "no" }, "resourceSpans is not a list"],
    [{ resource_spans: [] }, "resource_spans is written resourceSpans"],
    [{ resourceSpans: [{ scope_spans: [] }] }, "scope_spans is written scopeSpans"],
    [{ resourceSpans: [{ scopeSpans: [{ spans: {} }] }] }, "spans is not a list"],
    [[], "not a JSON object"],
    ["", "JSON"],
  ] as const) {
    expect(() => encoded(request)).toThrow(reason);
  }
  // Fields of tomorrow are no mistake.
  expect(encoded({ unknown: 1 })).toMatchObject({ accepted: 0, rejected: 0 });
});

test("integers of 64 bits are read to the last digit, as texts and bare", () => {
  const digits = `${Date.now()}123457`;
  const ids = `"traceId":"${"ab".repeat(16)}","spanId":"${"cd".repeat(8)}"`;
  const wrap = (start: string, value: string) =>
    `{"resourceSpans":[{"scopeSpans":[{"spans":[{${ids},"startTimeUnixNano":${start},"endTimeUnixNano":${start},` +
    `"attributes":[{"key":"n","value":{"intValue":${value}}},{"key":"d","value":{"doubleValue":1e300}}]}]}]}]}`;
  for (const value of ["9223372036854775807", "-9223372036854775808", "9007199254740993"]) {
    const [bare, quoted] = [encoded(wrap(digits, value)), encoded(wrap(`"${digits}"`, `"${value}"`))];
    expect(bare.accepted).toBe(1);
    expect(bare.rows.equals(quoted.rows)).toBe(true);
    expect(bare.rows.readBigInt64LE()).toBe(BigInt(digits));
    expect(bare.rows.includes(value)).toBe(true);
  }
});

test("what passes the limits of attributes is cut at a character's end and counted, from protobuf and JSON alike", () => {
  const long = `${"x".repeat(attributeBytes - 1)}ü`;
  const many = Array.from({ length: attributeLimit + 5 }, (_, i) => ({ key: `k${i}`, value: { intValue: i } }));
  const start = `${Date.now()}000000`;
  const span = {
    traceId: "ab".repeat(16),
    spanId: "cd".repeat(8),
    startTimeUnixNano: start,
    attributes: [{ key: "long", value: { stringValue: long } }, ...many],
    droppedAttributesCount: 3,
    events: [{ name: "e", attributes: many, droppedAttributesCount: 1 }],
    links: [{ traceId: "ef".repeat(16), spanId: "01".repeat(8), attributes: many }],
  };
  const request = { resourceSpans: [{ resource: { attributes: many }, scopeSpans: [{ spans: [span] }] }] };
  const json = encoded(request);
  expect(json).toMatchObject({ accepted: 1, rejected: 0, reason: cutWarning });
  const protobuf = encodeProtobufSpans(protobufOf("Traces", request), tenant, bounds);
  expect(protobuf).toMatchObject({ accepted: 1, rejected: 0, reason: cutWarning });
  expect(protobuf.rows.equals(json.rows)).toBe(true);
  const dropped = (count: number) =>
    Buffer.concat([
      Buffer.from([droppedAttribute.length]),
      Buffer.from(droppedAttribute),
      Buffer.from([1]),
      Buffer.from(String(count)),
    ]);
  // Of the span 6 here and 3 at the sender, of the event 5 and 1, of the resource and the link 5.
  for (const count of [9, 6, 5]) expect(json.rows.includes(dropped(count))).toBe(true);
  expect(json.rows.includes("xü")).toBe(false);
  expect(json.rows.includes("\uFFFD")).toBe(false);

  const record = {
    timeUnixNano: start,
    body: { stringValue: "b" },
    attributes: span.attributes,
    droppedAttributesCount: 3,
  };
  const logs = {
    resourceLogs: [
      { resource: { attributes: many }, scopeLogs: [{ scope: { attributes: many }, logRecords: [record] }] },
    ],
  };
  const fromJson = readJson(Buffer.from(JSON.stringify(logs)), (sent) => readJsonLogs(sent, tenant));
  const fromProtobuf = readProtobufLogs(protobufOf("Logs", logs), tenant);
  expect(fromProtobuf).toEqual(fromJson);
  expect(withinBounds(fromJson, bounds).reason).toBe(cutWarning);
  expect(fromJson[0]!.attributes.at(-1)).toEqual([droppedAttribute, "9"]);
  expect(fromJson[0]!.attributes[0]![1]).toBe("x".repeat(attributeBytes - 1));
});

test("a resource that would be repeated until the rows are too large is refused and not grown in memory", () => {
  const spans = Array.from({ length: 20_000 }, (_, i) => ({
    traceId: "ab".repeat(16),
    spanId: (i + 1).toString(16).padStart(16, "0"),
    startTimeUnixNano: `${Date.now()}000000`,
  }));
  const attributes = Array.from({ length: 100 }, (_, i) => ({
    key: `k${i}`,
    value: { stringValue: "x".repeat(1_000) },
  }));
  const request = { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] };
  expect(() => encodeProtobufSpans(protobufOf("Traces", request), tenant, bounds)).toThrow(TooManyRowBytes);
  expect(() => encoded(request)).toThrow(TooManyRowBytes);
});
