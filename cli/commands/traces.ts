// traces: a list of traces, or the spans of one as a tree.
import type { Output } from "../../client/client.ts";
import { colored, dim, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

type Trace = Output<"traces.get">;
type Span = Trace["spans"][number];

const slowMs = 100;
/** Characters for the time of the whole trace. */
const barWidth = 30;

export async function traces(
  id: string | undefined,
  flags: EnvironmentFlags & { slow: boolean; error: boolean; operation?: string; since: string },
): Promise<void> {
  const { client, where } = await place(flags);
  if (id) {
    const trace = await client.call("traces.get", { trace: id });
    print(trace, flags, waterfall);
    return;
  }
  const filter = {
    ...where,
    since: flags.since,
    ...(flags.error ? { errorsOnly: true } : {}),
    ...(flags.operation === undefined ? {} : { operation: flags.operation }),
    ...(flags.slow ? { slowerThanMs: slowMs } : {}),
  };
  const output = await client.call("traces.search", filter);
  if (flags.slow) output.traces.sort((a, b) => b.durationMs - a.durationMs);
  print(output, flags, ({ traces: list }) =>
    table(
      ["trace", "at", "ms", "spans", "queries", "", "name"],
      list.map((one) => [
        one.traceId,
        dim(new Date(one.start).toISOString().slice(11, 23)),
        one.durationMs.toFixed(1),
        String(one.spans),
        String(one.databaseQueries),
        one.errors > 0 ? colored("red", `${one.errors} errors`) : "",
        one.name,
      ]),
    ),
  );
}

/** The spans as a tree, each with its place in the time of the whole. */
export function waterfall(trace: Trace): string {
  const startOf = (span: Span) => span.start + (trace.skewMs[span.spanId] ?? 0);
  const first = trace.spans.reduce((least, span) => Math.min(least, startOf(span)), Number.POSITIVE_INFINITY);
  const last = trace.spans.reduce((most, span) => Math.max(most, startOf(span) + span.durationMs), first);
  const critical = new Set(trace.criticalPath.map((segment) => segment.spanId));
  const bar = (span: Span) => {
    const column = (time: number) => Math.floor(((time - first) / Math.max(last - first, 1e-6)) * (barWidth - 1));
    const [from, to] = [column(startOf(span)), column(startOf(span) + span.durationMs)];
    return (" ".repeat(from) + (critical.has(span.spanId) ? "█" : "░").repeat(to - from + 1)).padEnd(barWidth);
  };
  const rows: string[][] = [];
  const spans = new Map(trace.spans.map((span) => [span.spanId, span]));
  for (const { spanId, depth } of trace.tree) {
    const span = spans.get(spanId)!;
    rows.push([
      span.durationMs.toFixed(2),
      (trace.selfMs[span.spanId] ?? span.durationMs).toFixed(2),
      bar(span),
      "  ".repeat(depth) + (span.status === "error" ? colored("red", span.name) : span.name),
      dim(placeOf(span)),
    ]);
  }
  const omitted = trace.omitted > 0 ? `\n${trace.omitted} more spans are not shown` : "";
  const logs = trace.logs > 0 ? `\n${trace.logs} log records belong to it` : "";
  return table(["ms", "self", "█ waited for", "span", "where"], rows) + omitted + logs;
}

function placeOf(span: Span): string {
  const file = span.attributes["code.file.path"];
  return file ? `${file}:${span.attributes["code.line.number"] ?? "?"}` : "";
}
