// Log chart: how many lines of each severity were written over time; a stretch drawn in it is what the list shows.
import { useMemo } from "react";
import { calmMs, useRead } from "../api/hooks.ts";
import type { LogHistogram, Severity } from "../api/types.ts";
import { number } from "../design/format.ts";
import { Chart } from "../telemetry/chart.tsx";
import { limitsOf, stretch, type TimeRange } from "../telemetry/time-range.tsx";
import type { Address } from "../telemetry/use-address.ts";
import { inputOf, type LogFilters } from "./filters.ts";

const points = 80;

const groups: { name: string; colour: string; of: Severity[] }[] = [
  { name: "error, fatal", colour: "--bad", of: ["error", "fatal"] },
  { name: "warn", colour: "--kind-http", of: ["warn"] },
  { name: "info", colour: "--kind-database", of: ["info"] },
  { name: "debug, trace", colour: "--kind-internal", of: ["debug", "trace"] },
];

function seriesOf(histogram: LogHistogram) {
  return groups
    .map(({ name, colour, of }) => ({
      name,
      colour,
      draw: "bars" as const,
      values: histogram.points.map((point) => of.reduce((sum, severity) => sum + point[severity], 0)),
    }))
    .filter(({ values }) => values.some((value) => value > 0));
}

export function LogChart(props: {
  where: { project: string; environment: string };
  filters: LogFilters;
  range: TimeRange;
  address: Address;
}) {
  const { where, filters, range, address } = props;
  const { data } = useRead(
    "logs.histogram",
    { ...where, ...inputOf(filters), since: range.since, ...(range.until ? { until: range.until } : {}), points },
    { every: range.until ? false : calmMs },
  );
  const series = useMemo(() => (data ? seriesOf(data) : []), [data]);
  const times = useMemo(() => (data ? data.points.map(({ at }) => at) : []), [data]);
  if (!data || series.length === 0) return null;
  return (
    <div className="log-chart">
      <Chart
        label="Log lines over time by severity"
        times={times}
        series={series}
        stacked
        height={110}
        limits={limitsOf(range)}
        format={number}
        onStretch={(from, to) => address.set(stretch(from, to))}
      />
    </div>
  );
}
