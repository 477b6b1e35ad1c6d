// OTLP: what a kept parser reads is what was in the span.
import { createTraceState, SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { OtlpEncoder } from "./otlp.ts";
import { newTraceIds, RecordedSpan } from "./span.ts";

// Of opentelemetry-proto 1.x, whole for what a span holds.
const { root } = protobuf.parse(`syntax = "proto3";
  message Request { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
  message Scope { string name = 1; string version = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
    uint32 dropped_attributes_count = 10; repeated Event events = 11; uint32 dropped_events_count = 12;
    repeated Link links = 13; uint32 dropped_links_count = 14; Status status = 15; fixed32 flags = 16;
  }
  message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
  message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; fixed32 flags = 6; }
  message Status { string message = 2; int32 code = 3; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message ArrayValue { repeated AnyValue values = 1; }
  message AnyValue { oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; ArrayValue array_value = 5; } }`);
const requestType = root.lookupType("Request");
const scope = { name: "test", version: "1.2.3" };

function decoded(encoder: OtlpEncoder, spans: RecordedSpan[]) {
  const message = requestType.decode(encoder.encode(spans));
  return requestType.toObject(message, { longs: String, bytes: Buffer }) as {
    resourceSpans: {
      resource: { attributes: unknown[] };
      scopeSpans: { scope: object; spans: Record<string, unknown>[] }[];
    }[];
  };
}

function span(attributes: RecordedSpan["attributes"] = {}, name = "work"): RecordedSpan {
  return new RecordedSpan(scope, name, SpanKind.CLIENT, newTraceIds(), undefined, undefined, attributes, () => {});
}

const attributeOf = (one: Record<string, unknown> | undefined, key: string) =>
  ((one?.attributes ?? []) as { key: string; value: object }[]).find((pair) => pair.key === key)?.value;

test("ids, times, parent, trace state, kind, status and resource arrive", () => {
  const state = createTraceState("ot=th:8");
  const parent = { span0: 0x0102_0304, span1: -1, remote: true };
  const one = new RecordedSpan(scope, "work", SpanKind.SERVER, newTraceIds(), parent, state, {}, () => {});
  one.setStatus({ code: SpanStatusCode.ERROR, message: "it broke" });
  const before = Date.now();
  one.end();
  const { resourceSpans } = decoded(new OtlpEncoder({ "service.name": "app" }), [one]);
  expect(resourceSpans[0]?.resource.attributes).toEqual([{ key: "service.name", value: { stringValue: "app" } }]);
  expect(resourceSpans[0]?.scopeSpans[0]?.scope).toEqual(scope);
  const got = resourceSpans[0]?.scopeSpans[0]?.spans[0];
  const { traceId, spanId } = one.spanContext();
  const hex = (id: unknown) => Buffer.from(id as Buffer).toString("hex");
  expect(hex(got?.traceId)).toBe(traceId);
  expect(hex(got?.spanId)).toBe(spanId);
  expect(hex(got?.parentSpanId)).toBe("01020304ffffffff");
  // 0x301: sampled, and the parent is known to be remote.
  expect(got).toMatchObject({ name: "work", kind: 2, traceState: "ot=th:8", flags: 0x301 });
  expect(got?.status).toEqual({ code: 2, message: "it broke" });
  const start = BigInt(String(got?.startTimeUnixNano));
  const end = BigInt(String(got?.endTimeUnixNano));
  expect(end >= start).toBe(true);
  expect(Math.abs(Number(start / 1_000_000n) - before)).toBeLessThan(1_000);
});

test("every kind of value arrives as it was", () => {
  const long = "x".repeat(200);
  const got = decoded(new OtlpEncoder({}), [
    span({
      text: "plain",
      empty: "",
      umlaut: "Grüße, 世界 🌍",
      long,
      longUmlaut: `ü${long}`,
      zero: 0,
      small: 200,
      large: 2 ** 40 + 1,
      negative: -5,
      fraction: 0.25,
      yes: true,
      no: false,
      list: ["a", "ö", long],
      numbers: [1, -1, 2.5],
      absent: undefined,
    }),
  ]).resourceSpans[0]?.scopeSpans[0]?.spans[0];
  expect(attributeOf(got, "text")).toEqual({ stringValue: "plain" });
  expect(attributeOf(got, "empty")).toEqual({ stringValue: "" });
  expect(attributeOf(got, "umlaut")).toEqual({ stringValue: "Grüße, 世界 🌍" });
  expect(attributeOf(got, "long")).toEqual({ stringValue: long });
  expect(attributeOf(got, "longUmlaut")).toEqual({ stringValue: `ü${long}` });
  expect(attributeOf(got, "zero")).toEqual({ intValue: "0" });
  expect(attributeOf(got, "small")).toEqual({ intValue: "200" });
  expect(attributeOf(got, "large")).toEqual({ intValue: String(2 ** 40 + 1) });
  expect(attributeOf(got, "negative")).toEqual({ intValue: "-5" });
  expect(attributeOf(got, "fraction")).toEqual({ doubleValue: 0.25 });
  expect(attributeOf(got, "yes")).toEqual({ boolValue: true });
  expect(attributeOf(got, "no")).toEqual({ boolValue: false });
  expect(attributeOf(got, "list")).toEqual({
    arrayValue: { values: [{ stringValue: "a" }, { stringValue: "ö" }, { stringValue: long }] },
  });
  expect(attributeOf(got, "numbers")).toEqual({
    arrayValue: { values: [{ intValue: "1" }, { intValue: "-1" }, { doubleValue: 2.5 }] },
  });
  expect(attributeOf(got, "absent")).toBeUndefined();
});

test("events, links and what was dropped arrive", () => {
  const one = span();
  one.addEvent("first", { at: "start" });
  one.recordException(Object.assign(new Error("no"), { code: "E_NO" }));
  one.addLink({
    context: {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: TraceFlags.SAMPLED,
    },
    attributes: { why: "batch" },
  });
  for (let index = 0; index < 130; index++) one.setAttribute(`key ${index}`, index);
  one.end();
  const got = decoded(new OtlpEncoder({}), [one]).resourceSpans[0]?.scopeSpans[0]?.spans[0];
  const events = got?.events as { name: string; attributes: { key: string; value: object }[] }[];
  expect(events.map((event) => event.name)).toEqual(["first", "exception"]);
  expect(events[0]?.attributes).toEqual([{ key: "at", value: { stringValue: "start" } }]);
  expect(events[1]?.attributes.slice(0, 2)).toEqual([
    { key: "exception.type", value: { stringValue: "E_NO" } },
    { key: "exception.message", value: { stringValue: "no" } },
  ]);
  const [link] = (got?.links ?? []) as { traceId: Buffer; attributes: object[] }[];
  expect(link?.traceId.toString("hex")).toBe("0af7651916cd43dd8448eb211c80319c");
  expect(link?.attributes).toEqual([{ key: "why", value: { stringValue: "batch" } }]);
  expect(got?.attributes).toHaveLength(128);
  expect(got?.droppedAttributesCount).toBe(2);
});

test("spans of two scopes, more than the buffer first holds, all arrive", () => {
  const encoder = new OtlpEncoder({ "service.name": "app" });
  const other = { name: "other", version: "" };
  const spans = Array.from({ length: 600 }, (_, index) =>
    index % 2 === 0
      ? span({ "db.query.text": `SELECT ${"y".repeat(300)}` }, `work ${index}`)
      : new RecordedSpan(other, `work ${index}`, SpanKind.INTERNAL, newTraceIds(), undefined, undefined, {}, () => {}),
  );
  for (let time = 0; time < 2; time++) {
    const scopes = decoded(encoder, spans).resourceSpans[0]?.scopeSpans;
    expect(scopes?.map((one) => one.spans.length)).toEqual([300, 300]);
    expect(scopes?.flatMap((one) => one.spans.map((each) => each.name)).sort()).toEqual(
      spans.map((one) => one.name).sort(),
    );
  }
});
