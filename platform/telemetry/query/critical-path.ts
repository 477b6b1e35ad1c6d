// Critical path and self time: which spans a trace's duration hangs on, and how long each worked by itself.
import type { SpanNode } from "./span-tree.ts";

/** A stretch of time in which the root waited for this span's own work. Milliseconds since the epoch. */
export interface CriticalSegment {
  spanId: string;
  start: number;
  end: number;
}

/**
 * The path from the root's end back to its start: at each point the child that ended last is what was waited for, and
 * where none ran the span itself worked. A child that goes on after its parent counts up to the parent's end; one that
 * begins after it does not count (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
 * Architectures", USENIX ATC 2022). The segments fill the root's duration exactly, in the order of time.
 */
export function criticalPath(root: SpanNode): CriticalSegment[] {
  const segments: CriticalSegment[] = [];
  // Each frame walks one span's children backwards from `cursor`.
  const frames = [frame(root, root.end)];
  for (let top = frames.at(-1); top !== undefined; top = frames.at(-1)) {
    const child = top.children[top.at];
    if (child === undefined) {
      push(segments, top.node, top.node.start, top.cursor);
      frames.pop();
      continue;
    }
    top.at++;
    const [start, end] = [Math.max(child.start, top.node.start), Math.min(child.end, top.cursor)];
    // A child behind the cursor ran beside one that was waited for.
    if (start >= end) continue;
    push(segments, top.node, end, top.cursor);
    top.cursor = start;
    frames.push(frame(child, end, start));
  }
  return segments.reverse();
}

interface Frame {
  node: { span: SpanNode["span"]; start: number };
  children: SpanNode[];
  at: number;
  cursor: number;
}

function frame(node: SpanNode, until: number, from = node.start): Frame {
  const children = [...node.children].sort(
    (a, b) => Math.min(b.end, until) - Math.min(a.end, until) || b.start - a.start,
  );
  return { node: { span: node.span, start: from }, children, at: 0, cursor: until };
}

function push(segments: CriticalSegment[], node: Frame["node"], start: number, end: number): void {
  if (end > start) segments.push({ spanId: node.span.spanId, start, end });
}

/** Milliseconds of the span in which none of its children ran: its duration less the union of theirs. */
export function selfMs(node: SpanNode): number {
  let covered = 0;
  let upTo = node.start;
  // `children` are in the order of their start.
  for (const child of node.children) {
    const [start, end] = [Math.max(child.start, upTo), Math.min(child.end, node.end)];
    if (end <= start) continue;
    covered += end - start;
    upTo = end;
  }
  return node.end - node.start - covered;
}
