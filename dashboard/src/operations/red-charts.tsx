// RED charts: requests, errors and durations over time, one below the eyes of the other.
import { useMemo } from "react";
import type { OperationSeries } from "../api/types.ts";
import { milliseconds, number } from "../design/format.ts";
import { Chart } from "../telemetry/chart.tsx";
import { stretch } from "../telemetry/time-range.tsx";
import type { Address } from "../telemetry/use-address.ts";

export function RedCharts(props: { series: OperationSeries; limits: { from: number; to: number }; address: Address }) {
  const { series, limits, address } = props;
  const { points, everyMs } = series;
  const data = useMemo(() => {
    const seconds = everyMs / 1000;
    const quantile = (name: "p50Ms" | "p95Ms" | "p99Ms") =>
      points.map((point) => (point.requests > 0 ? point[name] : null));
    return {
      times: points.map(({ at }) => at),
      requests: [
        {
          name: "requests a second",
          colour: "--accent",
          draw: "bars" as const,
          values: points.map(({ requests }) => requests / seconds),
        },
      ],
      errors: [
        {
          name: "share of failed requests",
          colour: "--bad",
          draw: "bars" as const,
          values: points.map(({ requests, errors }) => (requests > 0 ? (errors / requests) * 100 : null)),
        },
      ],
      durations: [
        { name: "p50", colour: "--kind-workflow", values: quantile("p50Ms") },
        { name: "p95", colour: "--accent", values: quantile("p95Ms") },
        { name: "p99", colour: "--kind-http", values: quantile("p99Ms") },
      ],
    };
  }, [points, everyMs]);
  const shared = { times: data.times, limits, onStretch: (from: number, to: number) => address.set(stretch(from, to)) };
  return (
    <div className="red">
      <section className="panel panel-body" aria-labelledby="red-requests">
        <h3 id="red-requests">Rate</h3>
        <Chart
          label="Requests a second over time"
          series={data.requests}
          format={(value) => `${number(value)}/s`}
          {...shared}
        />
      </section>
      <section className="panel panel-body" aria-labelledby="red-errors">
        <h3 id="red-errors">Errors</h3>
        <Chart
          label="Share of failed requests over time"
          series={data.errors}
          format={(value) => `${number(value)} %`}
          {...shared}
        />
      </section>
      <section className="panel panel-body" aria-labelledby="red-durations">
        <h3 id="red-durations">Duration</h3>
        <Chart
          label="Durations over time: 50th, 95th and 99th percentile"
          series={data.durations}
          format={milliseconds}
          {...shared}
        />
      </section>
    </div>
  );
}
