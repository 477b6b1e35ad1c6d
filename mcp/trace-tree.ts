// Trace tree: the spans of a trace as indented lines; alike neighbours are one line with their number, as an N+1 shows.
import type { Output } from "../client/client.ts";
import { oneLine } from "./text.ts";

type Trace = Pick<Output<"traces.get">, "traceId" | "spans" | "omitted">;
type Span = Trace["spans"][number];

/** Runs of alike spans shorter than this are shown one by one. */
const foldFrom = 3;

export function traceTree(trace: Trace): string[] {
  const ids = new Set(trace.spans.map((span) => span.spanId));
  const children = Map.groupBy(trace.spans, (span) =>
    span.parentSpanId !== null && ids.has(span.parentSpanId) ? span.parentSpanId : null,
  );
  const lines: string[] = [];
  const walk = (parent: string | null, depth: number) => {
    const siblings = (children.get(parent) ?? []).toSorted((a, b) => a.start - b.start);
    for (let at = 0; at < siblings.length; ) {
      const first = siblings[at]!;
      let end = at + 1;
      while (end < siblings.length && alike(siblings[end]!, first, children)) end++;
      const run = siblings.slice(at, end);
      if (run.length >= foldFrom) {
        const total = run.reduce((sum, span) => sum + span.durationMs, 0);
        lines.push(
          line(first, depth, `${run.length} × ${(total / run.length).toFixed(2)} ms = ${total.toFixed(2)} ms`),
        );
      } else {
        for (const span of run) {
          lines.push(line(span, depth, `${span.durationMs.toFixed(2)} ms`));
          walk(span.spanId, depth + 1);
        }
      }
      at = end;
    }
  };
  walk(null, 0);
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
  return `${"  ".repeat(depth)}${parts.filter(Boolean).join("  ")}${query ? `  ${oneLine(query, 200)}` : ""}${oneLine(error, 200)}`;
}
