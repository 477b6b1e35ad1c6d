// Span tree, critical path and self time, by known shapes and by properties over random trees.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Span } from "../trace.ts";
import { criticalPath, selfMs } from "./critical-path.ts";
import { inOrder, type SpanNode, spanTree } from "./span-tree.ts";

function span(id: string, parent: string | null, start: number, end: number, more: Partial<Span> = {}): Span {
  return {
    ...{ traceId: "t", spanId: id, parentSpanId: parent, name: id, kind: "internal", service: "shop" },
    ...{ start, durationMs: end - start, status: "unset", statusMessage: "", attributes: {}, events: [] },
    ...more,
  };
}
const path = (spans: Span[]) => criticalPath(spanTree(spans)[0]!).map(({ spanId, start, end }) => [spanId, start, end]);
function* all(nodes: SpanNode[]): Generator<SpanNode> {
  for (const node of nodes) {
    yield node;
    yield* all(node.children);
  }
}

describe("the tree", () => {
  test("has spans without their parent, and of a circle, as roots, each span once", () => {
    const roots = spanTree([
      span("a", "b", 0, 9),
      span("b", "a", 1, 8),
      span("c", "missing", 2, 3),
      span("c", null, 2, 3),
      span("d", "d", 4, 5),
    ]);
    expect(roots.map((node) => node.span.spanId).sort()).toEqual(["a", "c", "d"]);
    expect([...all(roots)]).toHaveLength(4);
  });

  test("puts a server whose clock is off into the middle of the call, with all below it, and leaves one that fits", () => {
    const call = { kind: "client", service: "web" } as const;
    const server = { kind: "server", service: "shop" } as const;
    const [root] = spanTree([
      span("call", null, 100, 200, call),
      span("server", "call", 5_000, 5_060, server),
      span("query", "server", 5_010, 5_020, { service: "shop" }),
      span("fits", "call", 110, 120, server),
    ]);
    const [fits, moved] = root!.children as [SpanNode, SpanNode];
    expect([fits.start, fits.skewMs]).toEqual([110, 0]);
    expect([moved.start, moved.end, moved.skewMs]).toEqual([120, 180, -4_880]);
    expect([moved.children[0]!.start, moved.children[0]!.end]).toEqual([130, 140]);
  });

  test("moves neither a consumer that runs later nor a slow background task of the same service", () => {
    const [root] = spanTree([
      span("a", null, 0, 10, { kind: "producer" }),
      span("b", "a", 500, 510, { kind: "consumer", service: "other" }),
      span("c", "a", 5, 50),
    ]);
    expect(root!.children.map(({ start, skewMs }) => [start, skewMs])).toEqual([
      [5, 0],
      [500, 0],
    ]);
  });
});

describe("the critical path", () => {
  test("goes through steps one after another and the time between them", () => {
    expect(path([span("r", null, 0, 100), span("a", "r", 10, 40), span("b", "r", 50, 90)])).toEqual([
      ["r", 0, 10],
      ["a", 10, 40],
      ["r", 40, 50],
      ["b", 50, 90],
      ["r", 90, 100],
    ]);
  });

  test("takes of calls beside each other the one that ended last", () => {
    expect(path([span("r", null, 0, 100), span("short", "r", 10, 40), span("long", "r", 10, 90)])).toEqual([
      ["r", 0, 10],
      ["long", 10, 90],
      ["r", 90, 100],
    ]);
  });

  test("counts what goes on after its parent up to the parent's end, and what begins after it not at all", () => {
    expect(path([span("r", null, 0, 100), span("late", "r", 60, 500), span("after", "r", 200, 300)])).toEqual([
      ["r", 0, 60],
      ["late", 60, 100],
    ]);
  });

  test("fills the root's duration exactly whatever the spans are, and takes a chain of 20,000", () => {
    const chain = Array.from({ length: 20_000 }, (_, i) =>
      span(String(i), i === 0 ? null : String(i - 1), i, 40_000 - i),
    );
    expect(path(chain)).toHaveLength(39_999);
    const shapes = fc.array(fc.tuple(fc.nat(9), fc.integer({ min: -50, max: 150 }), fc.nat(100)), { maxLength: 40 });
    fc.assert(
      fc.property(shapes, (made) => {
        const spans = made.map(([parent, start, ms], i) =>
          span(String(i + 1), String(Math.min(parent, i)), start, start + ms),
        );
        const [root] = spanTree([span("0", null, 0, 100), ...spans]).filter((node) => node.span.spanId === "0");
        const segments = criticalPath(root!);
        let at = 0;
        for (const { start, end } of segments) {
          expect(start).toBe(at);
          at = end;
        }
        expect(at).toBe(100);
        for (const node of all([root!])) {
          expect(selfMs(node)).toBeGreaterThanOrEqual(0);
          expect(selfMs(node)).toBeLessThanOrEqual(node.end - node.start);
        }
      }),
    );
  });
});

test("self time is the duration less the union of the children, not less their sum", () => {
  const spans = [span("r", null, 0, 100), span("a", "r", 10, 50), span("b", "r", 30, 60), span("c", "r", 90, 130)];
  expect(selfMs(spanTree(spans)[0]!)).toBe(40);
});

test("in order every span comes once, after its parent, those of a circle and without a parent too", () => {
  const spans = [
    span("b", "a", 5, 10),
    span("a", null, 0, 100),
    span("c", "b", 6, 1),
    span("d", "a", 2, 3),
    span("x", "y", 20, 5),
    span("y", "x", 21, 5),
    span("o", "gone", 30, 1),
  ];
  const rows = [...inOrder(spanTree(spans))].map(({ node, depth }) => `${depth} ${node.span.spanId}`);
  expect(rows).toEqual(["0 a", "1 d", "1 b", "2 c", "0 x", "1 y", "0 o"]);
});
