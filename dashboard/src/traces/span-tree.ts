// Span tree: spans below their parents, repeated siblings as one group, and the rows that are open.
import type { Span } from "../api/types.ts";
import { type Kind, kindOf, labelOf, placeOf, statementOf } from "./span-kind.ts";

/** From so many siblings of one kind on, they are shown as one row. */
const leastRepeats = 3;

export interface SpanNode {
  type: "span";
  id: string;
  span: Span;
  kind: Kind;
  label: string;
  place: string | null;
  children: TreeNode[];
}

/** Siblings that do the same: one row with a mark for each of them. */
export interface GroupNode {
  type: "group";
  id: string;
  kind: Kind;
  label: string;
  place: string | null;
  children: SpanNode[];
  start: number;
  end: number;
  /** Sum of the durations, in milliseconds. */
  totalMs: number;
  errors: number;
}

export type TreeNode = SpanNode | GroupNode;

export interface Row {
  node: TreeNode;
  level: number;
  parent: number;
  position: number;
  siblings: number;
  open: boolean;
}

export interface SpanTree {
  roots: TreeNode[];
  start: number;
  end: number;
}

export function buildTree(spans: Span[]): SpanTree {
  const nodes = new Map<string, SpanNode>();
  for (const span of spans) {
    const node: SpanNode = {
      type: "span",
      id: span.spanId,
      span,
      kind: kindOf(span),
      label: labelOf(span),
      place: placeOf(span),
      children: [],
    };
    nodes.set(span.spanId, node);
  }
  const roots: SpanNode[] = [];
  const below = new Map<string, SpanNode[]>();
  for (const node of nodes.values()) {
    const { parentSpanId, spanId } = node.span;
    // a parent may be outside the trace, or left out of a long one
    if (!parentSpanId || parentSpanId === spanId || !nodes.has(parentSpanId)) roots.push(node);
    else below.set(parentSpanId, [...(below.get(parentSpanId) ?? []), node]);
  }
  for (const [id, children] of below) (nodes.get(id) as SpanNode).children = grouped(children, id);
  const start = Math.min(...spans.map((span) => span.start));
  const end = Math.max(...spans.map((span) => span.start + span.durationMs), start + 0.001);
  return { roots: grouped(roots, "root"), start, end };
}

function grouped(children: SpanNode[], parent: string): TreeNode[] {
  const sorted = children.toSorted((a, b) => a.span.start - b.span.start);
  const alike = Map.groupBy(sorted, (node) =>
    JSON.stringify([node.kind, statementOf(node.span) ?? node.label, node.place]),
  );
  const result: TreeNode[] = [];
  for (const [key, members] of alike) {
    const first = members[0] as SpanNode;
    if (members.length < leastRepeats) {
      result.push(...members);
      continue;
    }
    result.push({
      type: "group",
      id: `${parent}/${key}`,
      kind: first.kind,
      label: `${members.length} × ${first.label}`,
      place: first.place,
      children: members,
      start: first.span.start,
      end: Math.max(...members.map(({ span }) => span.start + span.durationMs)),
      totalMs: members.reduce((sum, { span }) => sum + span.durationMs, 0),
      errors: members.filter(({ span }) => span.status === "error").length,
    });
  }
  return result.sort((a, b) => startOf(a) - startOf(b));
}

export const startOf = (node: TreeNode) => (node.type === "span" ? node.span.start : node.start);

/** The rows to show. Spans are open unless toggled, groups closed unless toggled. */
export function openRows(roots: TreeNode[], toggled: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (nodes: TreeNode[], level: number, parent: number) => {
    nodes.forEach((node, position) => {
      const open = node.children.length > 0 && (node.type === "group") === toggled.has(node.id);
      rows.push({ node, level, parent, position, siblings: nodes.length, open });
      if (open) add(node.children, level + 1, rows.length - 1);
    });
  };
  add(roots, 1, -1);
  return rows;
}
