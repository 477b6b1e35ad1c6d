// A part of a trace: below a span, after a span, both, and pages that together are the whole.
import { expect, test } from "vitest";
import { partOf } from "./trace-part.ts";

const depths = [0, 1, 2, 2, 1, 0];
const view = {
  ...{ traceId: "t", omitted: 0, project: "shop", environment: "production", skewMs: {}, logs: 0 },
  spans: depths.map((_, at) => ({
    ...{ traceId: "t", spanId: `s${at}`, parentSpanId: null, name: "work", kind: "internal" as const, service: "shop" },
    ...{ start: at, durationMs: 1, status: "unset" as const, statusMessage: "", attributes: {}, events: [] },
  })),
  tree: depths.map((depth, at) => ({ spanId: `s${at}`, depth })),
  criticalPath: depths.map((_, at) => ({ spanId: `s${at}`, start: at, end: at + 1 })),
  selfMs: Object.fromEntries(depths.map((_, at) => [`s${at}`, 1])),
};

test.each([
  [{}, ["s0", "s1", "s2", "s3", "s4", "s5"]],
  [{ under: "s1" }, ["s1", "s2", "s3"]],
  [{ under: "s5" }, ["s5"]],
  [{ after: "s3" }, ["s4", "s5"]],
  [{ after: "s5" }, []],
  [{ under: "s1", after: "s2" }, ["s3"]],
])("%j has the spans %j, with all that belongs to them", (asked, ids) => {
  const part = partOf(view, asked);
  expect(part.tree.map(({ spanId }) => spanId)).toEqual(ids);
  expect(part.spans.map(({ spanId }) => spanId)).toEqual(ids);
  expect(part.criticalPath.map(({ spanId }) => spanId)).toEqual(ids);
  expect(Object.keys(part.selfMs)).toEqual(ids);
});

test("a span that is not there is named", () => {
  expect(() => partOf(view, { after: "nowhere" })).toThrow(/no span nowhere/);
});
