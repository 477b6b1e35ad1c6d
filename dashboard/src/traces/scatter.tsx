// Scatter: each trace of the list as a point, its duration over its time; a click opens it.
import { useMemo } from "react";
import { useLocation } from "wouter";
import type { TraceSummary } from "../api/types.ts";
import { milliseconds } from "../design/format.ts";
import { Chart } from "../telemetry/chart.tsx";
import { stretch } from "../telemetry/time-range.tsx";
import type { Address } from "../telemetry/use-address.ts";

export function Scatter({ traces, address }: { traces: TraceSummary[]; address: Address }) {
  const [, go] = useLocation();
  const sorted = useMemo(() => traces.toSorted((a, b) => a.start - b.start), [traces]);
  const data = useMemo(
    () => ({
      times: sorted.map(({ start }) => start),
      series: [
        {
          name: "traces",
          colour: "--accent",
          draw: "points" as const,
          values: sorted.map(({ errors, durationMs }) => (errors > 0 ? null : durationMs)),
        },
        {
          name: "with errors",
          colour: "--bad",
          draw: "points" as const,
          values: sorted.map(({ errors, durationMs }) => (errors > 0 ? durationMs : null)),
        },
      ],
    }),
    [sorted],
  );
  return (
    <section className="panel panel-body scatter" aria-labelledby="scatter-title">
      <h2 id="scatter-title">Duration</h2>
      <Chart
        label="Duration of each trace of the list over time"
        times={data.times}
        series={data.series}
        logarithmic
        height={170}
        format={milliseconds}
        onStretch={(from, to) => address.set(stretch(from, to))}
        onPoint={(_, index) => {
          const trace = sorted[index];
          if (trace) go(`/traces/${trace.traceId}`);
        }}
      />
    </section>
  );
}
