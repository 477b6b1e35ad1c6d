// Trace tree: the spans of a trace as indented lines; alike neighbours are one line with their number, as an N+1 shows.
import type { Output } from "../client/client.ts";
import { oneLine } from "./text.ts";

type Trace = Pick<Output<"traces.get">, "traceId" | "spans" | "omitted">;
type Span = Trace["spans"][number];

/** Runs of alike spans shorter than this are shown one by one. */
const foldFrom = 3;
/** Levels that are indented; what lies deeper stands as if it were on this one. */
const deepest = 40;

export function traceTree(trace: Trace): string[] {
  const ids = new Set(trace.spans.map((span) => span.spanId));
  const children = Map.groupBy(trace.spans, (span) =>
    span.parentSpanId !== null && ids.has(span.parentSpanId) ? span.parentSpanId : null,
  );
  const lines: string[] = [];
  const sorted = (parent: string | null) => (children.get(parent) ?? []).toSorted((a, b) => a.start - b.start);
  // By a list of levels and not by recursion: a trace can be as deep as it is long.
  const levels = [{ siblings: sorted(null), at: 0 }];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const { siblings, at } = level;
    const first = siblings[at];
    if (first === undefined) {
      levels.pop();
      continue;
    }
    const depth = levels.length - 1;
    let end = at + 1;
    while (end < siblings.length && alike(siblings[end]!, first, children)) end++;
    const run = siblings.slice(at, end);
    if (run.length >= foldFrom) {
      const total = run.reduce((sum, span) => sum + span.durationMs, 0);
      lines.push(line(first, depth, `${run.length} × ${(total / run.length).toFixed(2)} ms = ${total.toFixed(2)} ms`));
      level.at = end;
    } else {
      lines.push(line(first, depth, `${first.durationMs.toFixed(2)} ms`));
      level.at = at + 1;
      levels.push({ siblings: sorted(first.spanId), at: 0 });
    }
  }
  return lines;
}

function alike(span: Span, first: Span, children: Map<string | null, Span[]>): boolean {
  return (
    !children.has(span.spanId) &&
    !children.has(first.spanId) &&
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

/** Which spans the duration hangs on, those with the most time first. */
export function criticalLines(trace: Pick<Output<"traces.get">, "spans" | "criticalPath">): string[] {
  const spent = new Map<string, number>();
  for (const { spanId, start, end } of trace.criticalPath) spent.set(spanId, (spent.get(spanId) ?? 0) + end - start);
  const names = new Map(trace.spans.map((span) => [span.spanId, span.name]));
  const most = [...spent].sort(([, a], [, b]) => b - a).slice(0, mostCritical);
  if (most.length === 0) return [];
  const lines = most.map(([id, ms]) => `  ${ms.toFixed(2)} ms  ${oneLine(names.get(id) ?? id, 120)}`);
  return ["waited for (critical path), by span:", ...lines, "", "all spans:"];
}
