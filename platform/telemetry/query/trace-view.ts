// A trace as it is looked at: its spans with self time, the clock put right, the critical path, and how much was logged.
import { z } from "zod";
import type { TelemetryReader } from "../reader.ts";
import { Trace } from "../trace.ts";
import { criticalPath, selfMs } from "./critical-path.ts";
import { inOrder, type SpanNode, spanTree } from "./span-tree.ts";

export const TraceView = Trace.extend({
  project: z.string(),
  environment: z.string(),
  tree: z.array(z.object({ spanId: z.string(), depth: z.int() })).meta({
    description:
      "the spans as a tree: each once, after its parent and before the next of that parent's, siblings by their start; depth from 0",
  }),
  criticalPath: z
    .array(z.object({ spanId: z.string(), start: z.number(), end: z.number() }))
    .meta({ description: "the stretches that the duration hangs on, in the order of time; ms since the epoch" }),
  selfMs: z
    .record(z.string(), z.number())
    .meta({ description: "by span id: milliseconds in which nothing below the span ran" }),
  skewMs: z
    .record(z.string(), z.number())
    .meta({ description: "by span id: milliseconds to add to its start, where its service's clock is off" }),
  logs: z.int().meta({ description: "log records with this trace's id" }),
});
export type TraceView = z.infer<typeof TraceView>;

export async function traceView(
  reader: TelemetryReader,
  organizationId: string,
  trace: Trace | null,
): Promise<TraceView | null> {
  if (trace === null) return null;
  const params = { organization: organizationId, trace: trace.traceId };
  const where = "Organization = {organization:String} AND TraceId = {trace:String}";
  const [owners, logs] = await Promise.all([
    reader.query<{ Project: string; Environment: string }>(
      `SELECT Project, Environment FROM otel_traces WHERE ${where} LIMIT 1`,
      params,
    ),
    reader.query<{ records: number }>(`SELECT count() AS records FROM otel_logs WHERE ${where}`, params),
  ]);
  const roots = spanTree(trace.spans);
  const self: Record<string, number> = {};
  const skew: Record<string, number> = {};
  const tree: TraceView["tree"] = [];
  for (const { node, depth } of inOrder(roots)) {
    tree.push({ spanId: node.span.spanId, depth });
    self[node.span.spanId] = selfMs(node);
    if (node.skewMs !== 0) skew[node.span.spanId] = node.skewMs;
  }
  const longest = roots.reduce<SpanNode | undefined>(
    (found, root) => (found && found.end - found.start >= root.end - root.start ? found : root),
    undefined,
  );
  return {
    ...trace,
    project: owners[0]?.Project ?? "",
    environment: owners[0]?.Environment ?? "",
    tree,
    criticalPath: longest === undefined ? [] : criticalPath(longest),
    selfMs: self,
    skewMs: skew,
    logs: Number(logs[0]?.records ?? 0),
  };
}
