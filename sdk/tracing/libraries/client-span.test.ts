// Client span: what a call below a trace that is not sampled costs: nothing of it is read.
import { type Context, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { inContext, startContext } from "../active-context.ts";
import { CallSites } from "../call-site.ts";
import { HeadSampler } from "../head-sampling.ts";
import { SitePolicy } from "../site-policy.ts";
import { RecordedSpan, UnsampledSpan } from "../span.ts";
import { LeanTracerProvider } from "../tracer.ts";
import { begun, entered } from "./client-span.ts";

startContext();

function call(ratio: string, parent: (tracer: ReturnType<LeanTracerProvider["getTracer"]>) => Context) {
  const read: string[] = [];
  const tracer = new LeanTracerProvider({
    sampler: new HeadSampler("traceidratio", ratio),
    callSites: new CallSites(() => {
      read.push("stack");
      return "app";
    }),
    sites: new SitePolicy("always"),
    finished: () => {},
    realNow: undefined,
  }).getTracer("test");
  const describe = () => {
    read.push("call");
    return { name: "SELECT", text: "SELECT 1", attributes: { "db.namespace": "shop" } };
  };
  const span = inContext(parent(tracer), () => {
    const entry = entered(tracer, "SELECT 1", call);
    return [begun(tracer, describe, call), begun(tracer, describe, call, entry)];
  });
  return { span, read: new Set(read) };
}

test("below a trace that is not sampled a call is neither described nor looked for in the source", () => {
  const { span, read } = call("0", (tracer) => {
    const request = tracer.begin("GET", SpanKind.SERVER, {}, undefined);
    expect(request).toBeInstanceOf(UnsampledSpan);
    return trace.setSpan(ROOT_CONTEXT, request);
  });
  expect(span).toEqual([undefined, undefined]);
  expect([...read]).toEqual([]);
});

test("a call that begins a trace is described only when the trace is sampled", () => {
  expect(call("0", () => ROOT_CONTEXT).read).not.toContain("call");
  const { span } = call("1", () => ROOT_CONTEXT);
  for (const one of span) {
    expect(one).toBeInstanceOf(RecordedSpan);
    expect(one).toMatchObject({ name: "SELECT", attributes: { "db.namespace": "shop", "db.query.text": "SELECT 1" } });
  }
});
