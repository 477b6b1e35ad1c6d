// Span tree: the platform's tree of a trace with repeated siblings as one group, and the rows that are open.
import type { Span, Trace } from "../api/types.ts";
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

/** Milliseconds since the epoch. */
export interface Stretch {
  start: number;
  end: number;
}

export interface SpanTree {
  roots: TreeNode[];
  start: number;
  end: number;
  /** When a span ran, on the clock of the trace's first service. */
  placed(span: Span): Stretch;
  /** The stretches of the span that the trace's duration hangs on. */
  critical(span: Span): Stretch[];
  /** Milliseconds of the span in which nothing below it ran. */
  selfMs(span: Span): number;
}

/** Stands for the parent of those that have none. */
const top = "root";

/** What the platform has worked out over the spans of a trace. */
export type AnalysedTrace = Pick<Trace, "spans" | "tree" | "criticalPath" | "selfMs" | "skewMs">;

export function buildTree({ spans, tree, criticalPath, selfMs, skewMs }: AnalysedTrace): SpanTree {
  const critical = Map.groupBy(criticalPath, ({ spanId }) => spanId);
  const placed = (span: Span) => {
    const start = span.start + (skewMs[span.spanId] ?? 0);
    return { start, end: start + span.durationMs };
  };
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const below = new Map<string, SpanNode[]>([[top, []]]);
  const nodes: SpanNode[] = [];
  // The id of the span last seen on each level: what comes next on the level below is its child.
  const levels: string[] = [];
  for (const { spanId, depth } of tree) {
    const span = byId.get(spanId) as Span;
    const node: SpanNode = {
      type: "span",
      id: spanId,
      span,
      kind: kindOf(span),
      label: labelOf(span),
      place: placeOf(span),
      children: [],
    };
    nodes.push(node);
    below.get(levels[depth - 1] ?? top)?.push(node);
    below.set(spanId, []);
    levels[depth] = spanId;
  }
  for (const node of nodes) node.children = grouped(below.get(node.id) ?? [], node.id, placed);
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const span of spans) {
    const at = placed(span);
    start = Math.min(start, at.start);
    end = Math.max(end, at.end);
  }
  return {
    roots: grouped(below.get(top) ?? [], top, placed),
    start,
    end: Math.max(end, start + 0.001),
    placed,
    critical: ({ spanId }) => critical.get(spanId) ?? [],
    selfMs: ({ spanId, durationMs }) => selfMs[spanId] ?? durationMs,
  };
}

/** What is toggled when only the roots are seen. */
export function collapsed(roots: readonly TreeNode[]): ReadonlySet<string> {
  const closed = new Set<string>();
  const open = [...roots];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.type === "span" && node.children.length > 0) closed.add(node.id);
    open.push(...node.children);
  }
  return closed;
}

function grouped(children: SpanNode[], parent: string, placed: SpanTree["placed"]): TreeNode[] {
  const startOf = (node: TreeNode) => (node.type === "span" ? placed(node.span).start : node.start);
  const sorted = children.toSorted((a, b) => startOf(a) - startOf(b));
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
      start: startOf(first),
      end: members.reduce((end, { span }) => Math.max(end, placed(span).end), 0),
      totalMs: members.reduce((sum, { span }) => sum + span.durationMs, 0),
      errors: members.filter(({ span }) => span.status === "error").length,
    });
  }
  return result.sort((a, b) => startOf(a) - startOf(b));
}

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
