// Bodies to rows: protobuf and JSON give the same bytes, and what is wrong is refused without taking the rest along.
import { SpanKind } from "@opentelemetry/api";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { expect, test } from "vitest";
import { makeSpans } from "../telemetry-fixture.ts";
import { encodeFields, MalformedProtobuf } from "./protobuf.ts";
import { encodeJsonSpans } from "./spans-json.ts";
import { encodeProtobufSpans } from "./spans-protobuf.ts";
import { liveBounds } from "./tables.ts";

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
  const result = encodeJsonSpans(accepted, tenant, bounds);
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
  expect(encodeJsonSpans({ resourceSpans: "no" }, tenant, bounds)).toMatchObject({ accepted: 0, rejected: 0 });
});
