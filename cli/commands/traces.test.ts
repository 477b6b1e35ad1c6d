// The waterfall of a trace in text: places in time, self time, what was waited for, and depth without an end.
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { waterfall } from "./traces.ts";

const span = (spanId: string, parentSpanId: string | null, start: number, durationMs: number) => ({
  ...{ traceId: "t", spanId, parentSpanId, name: `work ${spanId}`, kind: "internal" as const, service: "shop" },
  ...{ start, durationMs, status: "unset" as const, statusMessage: "", attributes: {}, events: [] },
});
const trace = { traceId: "t", omitted: 0, project: "shop", environment: "production", skewMs: {}, logs: 0 };

test("spans stand below each other in the order of time, what was waited for is filled", () => {
  const text = waterfall({
    ...trace,
    ...{ selfMs: { a: 50, b: 50, c: 10 }, logs: 3 },
    spans: [span("a", null, 1_000, 100), span("c", "a", 1_060, 10), span("b", "a", 1_050, 50)],
    tree: ["a", "b", "c"].map((spanId) => ({ spanId, depth: spanId === "a" ? 0 : 1 })),
    criticalPath: [
      { spanId: "a", start: 1_000, end: 1_050 },
      { spanId: "b", start: 1_050, end: 1_100 },
    ],
  });
  const lines = stripVTControlCharacters(text).split("\n");
  const at = (name: string) => lines.find((line) => line.includes(name))!;
  expect(at("work a")).toMatch(/100\.00\s+50\.00\s+█{30}\s+work a/);
  expect(at("work b")).toMatch(/█{16}/);
  expect(at("work c")).toMatch(/ ░+ /);
  expect(lines.indexOf(at("work b"))).toBeLessThan(lines.indexOf(at("work c")));
  expect(text).toContain("3 log records belong to it");
});

test("a trace as deep as it is long is shown whole", () => {
  const spans = Array.from({ length: 1_500 }, (_, at) =>
    span(`s${at}`, at === 0 ? null : `s${at - 1}`, at, 2_000 - at),
  );
  const tree = spans.map(({ spanId }, depth) => ({ spanId, depth }));
  const text = waterfall({ ...trace, ...{ selfMs: {}, spans, criticalPath: [] }, tree });
  expect(text).toContain("work s1499");
});
