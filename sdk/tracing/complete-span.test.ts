// Complete span: what an error says of itself leaves without its secrets.
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { SpanCompletion } from "./complete-span.ts";
import { SourceFrames } from "./source-frames.ts";
import { newTraceIds, RecordedSpan } from "./span.ts";

test("the message and the stack of an error are without secrets, in its event and in the status", () => {
  const span = new RecordedSpan(
    { name: "test", version: "" },
    "work",
    SpanKind.INTERNAL,
    newTraceIds(),
    undefined,
    undefined,
    {},
    () => {},
  );
  const error = new Error("cannot reach redis://:hunter22@cache for ada@example.com");
  span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  span.end();
  new SpanCompletion(new SourceFrames(process.cwd(), import.meta.dirname)).complete(span);
  const said = JSON.stringify([span.events, span.status]);
  expect(said).toContain("cannot reach redis://[redacted]@cache for user-");
  expect(said).not.toMatch(/hunter22|ada@/);
});
