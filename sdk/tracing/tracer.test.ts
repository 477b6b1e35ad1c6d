// Tracer: what code that uses OpenTelemetry's API may expect of its spans.
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { activeContext, startContext } from "./active-context.ts";
import { CallSites, callSiteKey } from "./call-site.ts";
import { HeadSampler } from "./head-sampling.ts";
import { linkedRoot } from "./linked-context.ts";
import { SitePolicy } from "./site-policy.ts";
import type { RecordedSpan } from "./span.ts";
import { LeanTracerProvider } from "./tracer.ts";

const finished: RecordedSpan[] = [];
const providerWith = (sampler: string) =>
  new LeanTracerProvider({
    sampler: new HeadSampler(sampler, undefined),
    callSites: new CallSites((file) => (file.includes("node_modules") ? "library" : "app")),
    sites: new SitePolicy("always"),
    finished: (span) => finished.push(span),
    realNow: undefined,
  });
const provider = providerWith("always_on");
const tracer = provider.getTracer("app", "1.0.0");

beforeAll(startContext);
beforeEach(() => {
  finished.length = 0;
});

test("a span started below the active one is its child, and root makes it none's", async () => {
  await tracer.startActiveSpan("outer", async (outer) => {
    await Promise.resolve();
    const inner = tracer.startSpan("inner");
    expect(inner.spanContext().traceId).toBe(outer.spanContext().traceId);
    inner.end();
    const root = tracer.startSpan("root", { root: true });
    expect(root.spanContext().traceId).not.toBe(outer.spanContext().traceId);
    root.end();
    outer.end();
  });
  const [inner, root, outer] = finished;
  expect(inner?.parent).toMatchObject({ span0: outer?.span0, span1: outer?.span1 });
  expect(root?.parent).toBeUndefined();
});

test("an ended span takes nothing more, and is finished once", () => {
  const span = tracer.startSpan("work", { attributes: { before: 1 } });
  expect(span.isRecording()).toBe(true);
  span.end();
  span.end();
  span.setAttribute("after", 1).addEvent("after").updateName("after").setStatus({ code: SpanStatusCode.ERROR });
  expect(span.isRecording()).toBe(false);
  expect(finished).toHaveLength(1);
  expect(finished[0]).toMatchObject({ name: "work", attributes: { before: 1 }, status: { code: 0 } });
  expect(finished[0]?.events).toBeUndefined();
});

test("OK is the last word of a status, and unset is none", () => {
  const span = tracer.startSpan("work") as RecordedSpan;
  span.setStatus({ code: SpanStatusCode.ERROR, message: "first" });
  span.setStatus({ code: SpanStatusCode.UNSET });
  expect(span.status).toEqual({ code: SpanStatusCode.ERROR, message: "first" });
  span.setStatus({ code: SpanStatusCode.OK, message: "ignored" });
  span.setStatus({ code: SpanStatusCode.ERROR });
  expect(span.status).toEqual({ code: SpanStatusCode.OK });
});

test("attributes of others are copied, cut where they are long, and left out where they are none", () => {
  const attributes = { text: "x".repeat(20_000), list: ["a"], none: undefined, wrong: { a: 1 } as unknown as string };
  const span = tracer.startSpan("work", { attributes }) as RecordedSpan;
  attributes.list.push("b");
  expect(Object.keys(span.attributes)).toEqual(["text", "list"]);
  expect(String(span.attributes.text)).toHaveLength(16_384);
  expect(span.attributes.list).toEqual(["a"]);
});

test("a span has 128 attributes at most, those of its start counted, and tells how many it left out", () => {
  const numbered = (from: number, to: number) =>
    Object.fromEntries(Array.from({ length: to - from }, (_, index) => [`a${from + index}`, index]));
  const span = tracer.startSpan("work", { attributes: numbered(0, 130) }) as RecordedSpan;
  expect(Object.keys(span.attributes)).toHaveLength(128);
  expect(span.droppedAttributes).toBe(2);
  span.setAttributes({ ...numbered(130, 140), a0: "again" });
  expect(Object.keys(span.attributes)).toHaveLength(128);
  expect(span.attributes.a0).toBe("again");
  expect(span.droppedAttributes).toBe(12);

  const own = tracer.begin("own", SpanKind.SERVER, numbered(0, 100), undefined) as RecordedSpan;
  own.setAttributes(numbered(100, 130));
  expect(Object.keys(own.attributes)).toHaveLength(128);
  expect(own.droppedAttributes).toBe(2);
});

test("times are taken as HrTime, Date and milliseconds", () => {
  const at = Date.now() - 5_000;
  for (const startTime of [at, new Date(at), [Math.floor(at / 1000), (at % 1000) * 1e6] as [number, number]]) {
    const span = tracer.startSpan("work", { startTime }) as RecordedSpan;
    span.end(at + 1_000);
    expect(Math.abs(span.startTime[0] * 1000 + span.startTime[1] / 1e6 - at)).toBeLessThan(1);
    expect(span.endedAt - span.startedAt).toBeCloseTo(1_000, 0);
  }
});

test("where tracing is suppressed nothing is recorded", () => {
  const span = tracer.startSpan("work", {}, suppressTracing(ROOT_CONTEXT));
  expect(span.isRecording()).toBe(false);
  span.end();
  expect(finished).toEqual([]);
});

test("a trace that is not sampled has one stand-in for all its spans, takes no stack and passes its ids on", () => {
  const off = providerWith("always_off").getTracer("app");
  off.startActiveSpan("outer", (outer) => {
    const inner = off.startSpan("inner", { kind: SpanKind.CLIENT });
    expect(inner).toBe(outer);
    expect(outer.spanContext()).toMatchObject({ traceFlags: TraceFlags.NONE });
    expect(trace.isSpanContextValid(outer.spanContext())).toBe(true);
    expect(provider.getTracer("other").startSpan("other")).toBe(outer);
    expect(new CallSites(() => "app").capture(providerWith)).toEqual([]);
    outer.end();
  });
  expect(finished).toEqual([]);
});

test("a client span has the lines that lead to it, or the place that its context carries", () => {
  const own = tracer.startSpan("call", { kind: SpanKind.CLIENT }) as RecordedSpan;
  expect(own.site?.[0]?.file).toContain("tracer.test.ts");
  const place = [{ file: "/app/a.ts", line: 3, column: 1, name: null }];
  const carried = tracer.startSpan("call", { kind: SpanKind.CLIENT }, activeContext().setValue(callSiteKey, place));
  expect((carried as RecordedSpan).entrySite).toEqual(place);
  expect((tracer.startSpan("inside") as RecordedSpan).site).toBeUndefined();
});

test("a context that is added to without end keeps its values and stays short", () => {
  let active = linkedRoot;
  for (let index = 0; index < 1_000; index++) active = active.setValue(Symbol.for(`tsdev.test ${index % 50}`), index);
  for (let index = 950; index < 1_000; index++) {
    expect(active.getValue(Symbol.for(`tsdev.test ${index % 50}`))).toBe(index);
  }
  expect(active.deleteValue(Symbol.for("tsdev.test 0")).getValue(Symbol.for("tsdev.test 0"))).toBeUndefined();
  expect((active as unknown as { length: number }).length).toBeLessThan(30);
  expect(context.with(active, () => activeContext())).toBe(active);
});
