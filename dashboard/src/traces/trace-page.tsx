// Trace page: one trace as a waterfall, with the details of the span that is chosen.
import { useMemo, useState } from "react";
import { useRead } from "../api/hooks.ts";
import type { Trace } from "../api/types.ts";
import { date, milliseconds, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, Waiting } from "../frame/frame.tsx";
import { useAddress } from "../telemetry/use-address.ts";
import { SpanDetails } from "./span-details.tsx";
import { type Kind, kindNames, kindOf } from "./span-kind.ts";
import { buildTree } from "./span-tree.ts";
import "./trace.css";
import { TraceLogs } from "./trace-logs.tsx";
import { Waterfall } from "./waterfall.tsx";

function Loaded({ trace }: { trace: Trace }) {
  const address = useAddress();
  const selected = address.get("span");
  const setSelected = (span: string | null) => address.set({ span });
  const [critical, setCritical] = useState(true);
  const tree = useMemo(() => buildTree(trace), [trace]);
  const where = { project: trace.project, environment: trace.environment };
  const home = `/projects/${trace.project}`;
  const kinds = useMemo(() => {
    const counts = new Map<Kind, number>();
    for (const span of trace.spans) counts.set(kindOf(span), (counts.get(kindOf(span)) ?? 0) + 1);
    return counts;
  }, [trace]);
  const errors = trace.spans.filter((span) => span.status === "error").length;
  const span = trace.spans.find((one) => one.spanId === selected);
  const services = [...new Set(trace.spans.map((one) => one.service))];
  return (
    <Page
      wide
      title={trace.spans[0]?.name ?? "Trace"}
      crumbs={[
        { text: "Projects", to: "/projects" },
        { text: trace.project, to: home },
        { text: "Traces", to: `${home}/traces?environment=${encodeURIComponent(trace.environment)}` },
      ]}
      under={
        <>
          <span>
            <strong>{milliseconds(tree.end - tree.start)}</strong>
          </span>
          <span>{plural(trace.spans.length, "span")}</span>
          <span>{plural(kinds.get("database") ?? 0, "query", "queries")}</span>
          <span className={errors > 0 ? "state bad" : undefined}>{plural(errors, "error")}</span>
          <span>{services.join(", ")}</span>
          <span>{date(tree.start)}</span>
          <span className="faint mono">{trace.traceId}</span>
        </>
      }
      actions={
        <>
          <label className="check">
            <input type="checkbox" checked={critical} onChange={(event) => setCritical(event.target.checked)} />
            critical path
          </label>
          <ul className="kinds" aria-label="Colours">
            {(Object.keys(kindNames) as Kind[])
              .filter((kind) => kinds.has(kind))
              .map((kind) => (
                <li key={kind}>
                  <span className={`dot ${kind}`} /> {kindNames[kind]}
                </li>
              ))}
          </ul>
        </>
      }
    >
      {trace.omitted > 0 && (
        <div className="notice warn omitted">
          <p>The trace is long: {plural(trace.omitted, "more span")} at its end are not shown.</p>
        </div>
      )}
      <div className={span ? "trace-grid with-details" : "trace-grid"}>
        <div className="panel waterfall-panel">
          <Waterfall
            tree={tree}
            selected={selected}
            critical={critical}
            onSelect={(node) => setSelected(node?.id ?? null)}
          />
        </div>
        {span && <SpanDetails span={span} tree={tree} where={where} onClose={() => setSelected(null)} />}
      </div>
      <TraceLogs where={where} traceId={trace.traceId} start={tree.start} end={tree.end} spanId={selected} />
    </Page>
  );
}

export default function TracePage({ id }: { id: string }) {
  const { data, error, refetch } = useRead("traces.get", { trace: id });
  if (data) return <Loaded trace={data} />;
  return (
    <Page title="Trace" crumbs={[{ text: "Projects", to: "/projects" }]}>
      {error ? <ErrorNotice error={error} retry={() => void refetch()} /> : <Waiting />}
    </Page>
  );
}
