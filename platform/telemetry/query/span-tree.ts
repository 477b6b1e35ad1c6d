// The spans of a trace as a tree: who called whom, with clocks of other services brought into line.
import type { Span } from "../trace.ts";

/** A span in its place. Times are milliseconds since the epoch, on the clock of the root's service as far as that can be told. */
export interface SpanNode {
  span: Span;
  start: number;
  end: number;
  /** Milliseconds that the span's own clock was moved by; 0 where it fits. */
  skewMs: number;
  /** In the order of their start. */
  children: SpanNode[];
}

/**
 * Builds the tree. A span whose parent is not there is a root, and so is one of a circle of parents; of two spans with
 * the same id the first counts. Roots come in the order of time.
 */
export function spanTree(spans: readonly Span[]): SpanNode[] {
  const byId = new Map<string, SpanNode>();
  for (const span of spans) {
    if (byId.has(span.spanId)) continue;
    byId.set(span.spanId, {
      span,
      start: span.start,
      end: span.start + span.durationMs,
      skewMs: 0,
      children: [],
    });
  }
  const roots: SpanNode[] = [];
  const parents = new Map<SpanNode, SpanNode>();
  for (const node of byId.values()) {
    const parent = node.span.parentSpanId === null ? undefined : byId.get(node.span.parentSpanId);
    if (parent === undefined) roots.push(node);
    else {
      parents.set(node, parent);
      parent.children.push(node);
    }
  }
  const reached = new Set<SpanNode>();
  for (const root of roots) reach(root, reached);
  for (const node of byId.values()) {
    if (reached.has(node)) continue;
    const parent = parents.get(node)!;
    parent.children.splice(parent.children.indexOf(node), 1);
    roots.push(node);
    reach(node, reached);
  }
  for (const root of roots) align(root);
  return roots.sort(byStart);
}

/** Each span once, after its parent and before the next of that parent's; depth from 0. */
export function* inOrder(roots: readonly SpanNode[]): Generator<{ node: SpanNode; depth: number }> {
  const open = roots.toReversed().map((node) => ({ node, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    yield next;
    const { node, depth } = next;
    for (const child of node.children.toReversed()) open.push({ node: child, depth: depth + 1 });
  }
}

function reach(root: SpanNode, reached: Set<SpanNode>): void {
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    reached.add(node);
    open.push(...node.children);
  }
}

/** Orders children, and moves those of another service that cannot have happened when their clock says. */
function align(root: SpanNode): void {
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const child of node.children) {
      const skew = skewOf(node, child);
      if (skew !== 0) shift(child, skew);
      open.push(child);
    }
    node.children.sort(byStart);
  }
}

/**
 * A server's span lies within the call that it answers. Where it does not, its clock is off: it is put in the middle of
 * the call, as if both ways took equally long (Jaeger's clock skew adjustment). One that is longer than the call goes on
 * after it, and begins with it at the earliest.
 */
function skewOf(parent: SpanNode, child: SpanNode): number {
  if (parent.span.kind !== "client" || child.span.kind !== "server") return 0;
  if (parent.span.service === child.span.service) return 0;
  if (child.start >= parent.start && child.end <= parent.end) return 0;
  const room = parent.end - parent.start - (child.end - child.start);
  if (room >= 0) return parent.start + room / 2 - child.start;
  return child.start < parent.start ? parent.start - child.start : 0;
}

function shift(node: SpanNode, by: number): void {
  const open = [node];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    at.start += by;
    at.end += by;
    at.skewMs += by;
    open.push(...at.children);
  }
}

function byStart(a: SpanNode, b: SpanNode): number {
  return a.start - b.start || b.end - a.end;
}
