// Span tree: the levels as the platform gives them, and repeated siblings as one row.
import { expect, test } from "vitest";
import type { Span } from "../api/types.ts";
import { buildTree, openRows } from "./span-tree.ts";

function span(
  spanId: string,
  parentSpanId: string | null,
  start: number,
  attributes: Record<string, string> = {},
): Span {
  return {
    traceId: "t",
    spanId,
    parentSpanId,
    name: `span ${spanId}`,
    kind: "internal",
    service: "shop",
    start,
    durationMs: 1,
    status: "unset",
    statusMessage: "",
    attributes,
    events: [],
  };
}

const query = (spanId: string, parent: string, start: number, text: string) =>
  span(spanId, parent, start, { "db.system.name": "postgresql", "db.query.text": text });

/** Depths are those of the platform's answer. */
const traceOf = (
  spans: Span[],
  depths: number[] = spans.map(({ parentSpanId }) => (parentSpanId === null ? 0 : 1)),
) => ({
  spans,
  tree: spans.map(({ spanId }, at) => ({ spanId, depth: depths[at] ?? 0 })),
  criticalPath: [],
  selfMs: {},
  skewMs: {},
});

const labels = (spans: Span[], toggled: string[] = []) =>
  openRows(buildTree(traceOf(spans)).roots, new Set(toggled)).map(({ node, level }) => `${level} ${node.label}`);

test("three equal queries below one span are one row that opens, two are not", () => {
  const repeated = ["a", "b", "c"].map((id, index) =>
    query(id, "r", index + 1, "SELECT x FROM customers WHERE id = $1"),
  );
  const others = ["d", "e"].map((id, index) => query(id, "r", index + 10, "SELECT y FROM orders"));
  const spans = [span("r", null, 0), ...repeated, ...others];
  expect(labels(spans)).toEqual(["1 span r", "2 3 × SELECT … customers", "2 SELECT … orders", "2 SELECT … orders"]);
  const group = openRows(buildTree(traceOf(spans)).roots, new Set())[1];
  expect(group?.node).toMatchObject({ totalMs: 3, start: 1, end: 4 });
  expect(labels(spans, [group?.node.id ?? ""])).toHaveLength(7);
});

test("levels are taken as they are answered, whatever spans say of their parents", () => {
  const spans = [span("a", "gone", 0), span("b", "a", 1), span("d", "b", 1.5), span("c", "c", 2), span("x", "y", 3)];
  const { roots } = buildTree(traceOf([...spans, span("y", "x", 4)], [0, 1, 2, 0, 0, 1]));
  const rows = openRows(roots, new Set());
  expect(rows.map(({ node, level }) => `${level} ${node.label}`)).toEqual([
    "1 span a",
    "2 span b",
    "3 span d",
    "1 span c",
    "1 span x",
    "2 span y",
  ]);
});

test("rows know their parent and their place among their siblings", () => {
  const rows = openRows(
    buildTree(traceOf([span("r", null, 0), span("a", "r", 1), span("b", "r", 2)])).roots,
    new Set(),
  );
  expect(rows.map(({ parent, position, siblings }) => [parent, position, siblings])).toEqual([
    [-1, 0, 1],
    [0, 0, 2],
    [0, 1, 2],
  ]);
});
