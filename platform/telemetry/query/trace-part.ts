// A part of a trace: what is below one span, and what comes after another in the order of the tree.
import { TsdevError } from "../../../sdk/errors.ts";
import type { TraceView } from "./trace-view.ts";

export interface TracePart {
  /** Only this span and what is below it. */
  under?: string | undefined;
  /** Only what comes after this span in the tree. */
  after?: string | undefined;
}

/** Depths stay those of the whole. Throws `not_found` for a span that the trace has not. */
export function partOf(view: TraceView, { under, after }: TracePart): TraceView {
  let from = 0;
  let to = view.tree.length;
  if (under !== undefined) {
    from = placeOf(view, under, "under");
    const { depth } = view.tree[from]!;
    const next = view.tree.findIndex((row, at) => at > from && row.depth <= depth);
    if (next !== -1) to = next;
  }
  if (after !== undefined) from = Math.max(from, placeOf(view, after, "after") + 1);
  if (from === 0 && to === view.tree.length) return view;
  const tree = view.tree.slice(from, to);
  const ids = new Set(tree.map(({ spanId }) => spanId));
  const ofPart = <T>(record: Record<string, T>) =>
    Object.fromEntries(Object.entries(record).filter(([id]) => ids.has(id)));
  return {
    ...view,
    tree,
    spans: view.spans.filter(({ spanId }) => ids.has(spanId)),
    criticalPath: view.criticalPath.filter(({ spanId }) => ids.has(spanId)),
    selfMs: ofPart(view.selfMs),
    skewMs: ofPart(view.skewMs),
  };
}

function placeOf(view: TraceView, spanId: string, path: string): number {
  const at = view.tree.findIndex((row) => row.spanId === spanId.toLowerCase());
  if (at !== -1) return at;
  throw new TsdevError("not_found", {
    message: `trace ${view.traceId} has no span ${spanId}`,
    fix: "take the id of a span that traces.get answers",
    path,
  });
}
