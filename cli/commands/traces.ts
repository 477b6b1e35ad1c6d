// traces: a list of traces, or the spans of one as a tree.
import type { Output } from "../../client/client.ts";
import { colored, dim, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

type Trace = Output<"traces.get">;
type Span = Trace["spans"][number];

const slowMs = 100;

export async function traces(
  id: string | undefined,
  flags: EnvironmentFlags & { slow: boolean; error: boolean; since: string },
): Promise<void> {
  const { client, where } = await place(flags);
  if (id) {
    const trace = await client.call("traces.get", { trace: id });
    print(trace, flags, treeOf);
    return;
  }
  const filter = {
    ...where,
    since: flags.since,
    ...(flags.error ? { errorsOnly: true } : {}),
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

function treeOf(trace: Trace): string {
  const ids = new Set(trace.spans.map((span) => span.spanId));
  const children = Map.groupBy(trace.spans, (span) =>
    span.parentSpanId && ids.has(span.parentSpanId) ? span.parentSpanId : null,
  );
  const rows: string[][] = [];
  const walk = (parent: string | null, depth: number) => {
    for (const span of (children.get(parent) ?? []).toSorted((a, b) => a.start - b.start)) {
      rows.push([
        span.durationMs.toFixed(2),
        "  ".repeat(depth) + (span.status === "error" ? colored("red", span.name) : span.name),
        dim(placeOf(span)),
      ]);
      walk(span.spanId, depth + 1);
    }
  };
  walk(null, 0);
  const omitted = trace.omitted > 0 ? `\n${trace.omitted} more spans are not shown` : "";
  return table(["ms", "span", "where"], rows) + omitted;
}

function placeOf(span: Span): string {
  const file = span.attributes["code.file.path"];
  return file ? `${file}:${span.attributes["code.line.number"] ?? "?"}` : "";
}
