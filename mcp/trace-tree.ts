// Trace tree: the spans of a trace as indented lines; alike neighbours are one line with their number, as an N+1 shows.
import type { Output } from "../client/client.ts";
import { oneLine } from "./text.ts";

type Trace = Pick<Output<"traces.get">, "spans" | "tree">;
type Span = Trace["spans"][number];

/** Runs of alike spans shorter than this are shown one by one. */
const foldFrom = 3;
/** Levels that are indented; what lies deeper stands as if it were on this one. */
const deepest = 40;

/** Each line with the last span that it stands for. */
export function traceTree({ spans, tree }: Trace): { text: string; last: string }[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const rows = tree.map(({ spanId, depth }) => ({ span: byId.get(spanId)!, depth }));
  const isLeaf = (at: number) => (rows[at + 1]?.depth ?? 0) <= rows[at]!.depth;
  const lines: { text: string; last: string }[] = [];
  for (let at = 0; at < rows.length; ) {
    const { span: first, depth } = rows[at]!;
    let end = at + 1;
    // Leaves one after another on one level have one parent.
    if (isLeaf(at)) {
      while (end < rows.length && rows[end]!.depth === depth && isLeaf(end) && alike(rows[end]!.span, first)) end++;
    }
    if (end - at < foldFrom) {
      lines.push({ text: line(first, depth, `${first.durationMs.toFixed(2)} ms`), last: first.spanId });
      at++;
      continue;
    }
    const total = rows.slice(at, end).reduce((sum, { span }) => sum + span.durationMs, 0);
    const duration = `${end - at} × ${(total / (end - at)).toFixed(2)} ms = ${total.toFixed(2)} ms`;
    lines.push({ text: line(first, depth, duration), last: rows[end - 1]!.span.spanId });
    at = end;
  }
  return lines;
}

function alike(span: Span, first: Span): boolean {
  return (
    span.name === first.name &&
    span.status === first.status &&
    placeOf(span) === placeOf(first) &&
    span.attributes["db.query.text"] === first.attributes["db.query.text"]
  );
}

function placeOf(span: Span): string {
  const file = span.attributes["code.file.path"];
  return file ? `${file}:${span.attributes["code.line.number"] ?? "?"}` : "";
}

function line(span: Span, depth: number, duration: string): string {
  const query = span.attributes["db.query.text"];
  const error = span.status === "error" ? `  ERROR ${span.attributes["error.type"] ?? ""} ${span.statusMessage}` : "";
  const parts = [span.kind === "internal" ? "" : span.kind, oneLine(span.name, 120), duration, placeOf(span)];
  return `${"  ".repeat(Math.min(depth, deepest))}${parts.filter(Boolean).join("  ")}${query ? `  ${oneLine(query, 200)}` : ""}${oneLine(error, 200)}`;
}

const mostCritical = 10;

/** Which spans the duration hangs on, those with the most time first, with the ids that `under` of `traces.get` takes. */
export function criticalLines(trace: Pick<Output<"traces.get">, "spans" | "criticalPath">): string[] {
  const spent = new Map<string, number>();
  for (const { spanId, start, end } of trace.criticalPath) spent.set(spanId, (spent.get(spanId) ?? 0) + end - start);
  const names = new Map(trace.spans.map((span) => [span.spanId, span.name]));
  const most = [...spent].sort(([, a], [, b]) => b - a).slice(0, mostCritical);
  if (most.length === 0) return [];
  const lines = most.map(([id, ms]) => `  ${ms.toFixed(2)} ms  ${oneLine(names.get(id) ?? id, 120)}  ${id}`);
  return ["waited for (critical path), by span:", ...lines, "", "all spans:"];
}
