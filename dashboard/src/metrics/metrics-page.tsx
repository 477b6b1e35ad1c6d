// Metrics page: which metrics there are, and the chosen one over time, by an attribute; its exemplars lead to traces.
import { useMemo } from "react";
import { Link } from "wouter";
import { calmMs, useRead } from "../api/hooks.ts";
import type { MetricDistribution, MetricInfo, MetricSeries } from "../api/types.ts";
import { number, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import { AttributeFilters } from "../telemetry/attribute-filters.tsx";
import { Chart } from "../telemetry/chart.tsx";
import { NoData } from "../telemetry/no-data.tsx";
import { SearchField } from "../telemetry/search-field.tsx";
import { limitsOf, stretch, TimeChoice, type TimeRange, timeRangeIn } from "../telemetry/time-range.tsx";
import { type Address, useAddress } from "../telemetry/use-address.ts";
import "../traces/traces.css";
import "./metrics.css";

type Kind = MetricInfo["kind"];
type Of = "average" | "min" | "max" | "rate" | "value" | "quantiles";

const functions: Record<Kind, Of[]> = {
  gauge: ["average", "min", "max"],
  sum: ["rate", "value"],
  histogram: ["average", "rate", "quantiles"],
  exponential_histogram: ["average", "rate", "quantiles"],
  summary: ["quantiles", "average", "rate"],
};
const steps = [30, 60, 120, 240];
const usualPoints = 60;
const colours = [
  "--accent",
  "--kind-http",
  "--kind-workflow",
  "--bad",
  "--kind-server",
  "--good",
  "--warn",
  "--before",
];
const shownExemplars = 8;
/** As many as the operation takes. */
const mostGroupKeys = 4;

const isHistogram = (kind: Kind) => kind === "histogram" || kind === "exponential_histogram";

/** The quantiles of a histogram as lines; those of a summary are lines already. */
function quantileLines({ everyMs, series, omittedGroups, exemplars }: MetricDistribution): MetricSeries {
  return {
    everyMs,
    times: series[0]?.points.map(({ at }) => at) ?? [],
    series: series.flatMap(({ group, points }) =>
      (["p50", "p95", "p99"] as const).map((name) => ({
        group: [...group, name],
        values: points.map((point) => point[name]),
      })),
    ),
    omittedGroups,
    exemplars,
  };
}

const rangeInput = (range: TimeRange) => ({ since: range.since, ...(range.until ? { until: range.until } : {}) });

/** The unit as people write it; OpenTelemetry's `{request}` is a word, and `1` is none. */
const unitOf = (unit: string) => (unit === "1" ? "" : unit.replace(/^\{(.*)\}$/, "$1"));

function Picture(props: { metric: MetricInfo; of: Of; data: MetricSeries; range: TimeRange; address: Address }) {
  const { metric, of, data, range, address } = props;
  const unit = unitOf(metric.unit) + (of === "rate" ? "/s" : "");
  const series = useMemo(
    () =>
      data.series.map(({ group, values }, index) => ({
        name: group.join(", ") || metric.name,
        colour: colours[index % colours.length] ?? "--accent",
        values,
      })),
    [data, metric.name],
  );
  return (
    <>
      {series.length === 0 ? (
        <p className="soft">Nothing was recorded in this time.</p>
      ) : (
        <Chart
          label={`${metric.name} over time`}
          times={data.times}
          series={series}
          height={260}
          limits={limitsOf(range)}
          format={(value) => `${number(value)}${unit ? ` ${unit}` : ""}`}
          onStretch={(from, to) => address.set(stretch(from, to))}
        />
      )}
      {data.omittedGroups > 0 && (
        <p className="soft">{plural(data.omittedGroups, "more group")} not shown: filter by an attribute.</p>
      )}
      {data.exemplars.length > 0 && (
        <section aria-labelledby="exemplars">
          <h3 id="exemplars">Traces that recorded it</h3>
          <ul className="exemplars">
            {data.exemplars.slice(-shownExemplars).map((one) => (
              <li key={one.traceId}>
                <Link href={`/traces/${one.traceId}`}>
                  {number(one.value)} {unitOf(metric.unit)}
                </Link>{" "}
                <span className="faint">
                  <Ago time={one.at} />
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Explorer(props: {
  where: { project: string; environment: string };
  metric: MetricInfo;
  range: TimeRange;
  address: Address;
}) {
  const { where, metric, range, address } = props;
  const { kind } = metric;
  const offered = kind === "sum" && !metric.monotonic ? functions.sum.toReversed() : functions[kind];
  const of = offered.find((one) => one === address.get("of")) ?? offered[0] ?? "average";
  const groupBy = address.all("by");
  const attributes = address.all("attribute");
  const points = steps.find((one) => String(one) === address.get("points")) ?? usualPoints;
  const selection = {
    ...where,
    ...rangeInput(range),
    ...{ metric: metric.name, points },
    ...(groupBy.length > 0 ? { groupBy } : {}),
    ...(attributes.length > 0 ? { attributes } : {}),
  };
  const every = range.until ? (false as const) : calmMs;
  const distributed = isHistogram(kind) && of === "quantiles";
  const lines = useRead("metrics.query", { ...selection, kind, of }, { enabled: !distributed, every });
  const distribution = useRead(
    "metrics.distribution",
    { ...selection, kind: kind === "histogram" ? kind : "exponential_histogram", points: Math.min(points, 120) },
    { enabled: distributed, every },
  );
  const { error, refetch } = distributed ? distribution : lines;
  const data = useMemo(
    () => (distributed ? distribution.data && quantileLines(distribution.data) : lines.data),
    [distributed, distribution.data, lines.data],
  );
  return (
    <section className="panel" aria-labelledby="metric-title">
      <header>
        <h2 id="metric-title" className="metric-name">
          {metric.name}
        </h2>
        <span className="aside">
          {metric.description || `${metric.kind}, ${plural(metric.series, "series", "series")}`}
        </span>
      </header>
      <div className="panel-body metric-body">
        <div className="filters">
          <select
            className="field"
            aria-label="What of it"
            value={of}
            onChange={(event) => address.set({ of: event.target.value })}
          >
            {offered.map((one) => (
              <option key={one} value={one}>
                {one === "rate" ? "rate a second" : one}
              </option>
            ))}
          </select>
          {/* One more choice than there are keys, so that another can be added. */}
          {[...groupBy, ""].slice(0, mostGroupKeys).map((chosen, index) => (
            <select
              key={chosen}
              className="field"
              aria-label={index === 0 ? "Group by" : `Group by, ${index + 1}`}
              value={chosen}
              onChange={(event) => address.set({ by: groupBy.toSpliced(index, 1, event.target.value) })}
            >
              <option value="">{index === 0 ? "all together" : "and by no other"}</option>
              {["service.name", ...metric.attributes]
                .filter((key) => key === chosen || !groupBy.includes(key))
                .map((key) => (
                  <option key={key} value={key}>
                    by {key}
                  </option>
                ))}
            </select>
          ))}
          <AttributeFilters anyForm address={address} keys={metric.attributes} />
          <select
            className="field"
            aria-label="Step"
            value={points}
            onChange={(event) => address.set({ points: event.target.value })}
          >
            {steps.map((one) => (
              <option key={one} value={one}>
                {one} steps
              </option>
            ))}
          </select>
        </div>
        {error ? (
          <ErrorNotice error={error} retry={() => void refetch()} />
        ) : data ? (
          <Picture metric={metric} of={of} data={data} range={range} address={address} />
        ) : (
          <Waiting />
        )}
      </div>
    </section>
  );
}

export default function MetricsPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const where = { project, environment };
  const address = useAddress();
  const range = timeRangeIn(address);
  const search = address.get("search") ?? "";
  const { data, error, refetch } = useRead("metrics.list", { ...where, ...rangeInput(range) });
  const found = (data?.metrics ?? []).filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
  const chosen = data?.metrics.find(({ name }) => name === address.get("metric")) ?? found[0];
  return (
    <Page wide title={project} documentTitle={`Metrics of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <SearchField
          grow
          label="Metric"
          placeholder="Part of a metric's name"
          value={search}
          onChange={(text) => address.set({ search: text })}
        />
        <TimeChoice address={address} range={range} />
      </search>
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Waiting />
      ) : data.metrics.length === 0 ? (
        <NoData project={project} title="No metric in this time">
          Metrics that an app records with OpenTelemetry show up here.
        </NoData>
      ) : (
        <div className="metrics-grid">
          <nav className="panel metric-list" aria-label="Metrics">
            <ul>
              {found.map((one) => (
                <li key={`${one.kind} ${one.name}`}>
                  <button
                    type="button"
                    aria-pressed={one === chosen}
                    onClick={() => address.set({ metric: one.name, of: null, by: null, attribute: null })}
                  >
                    {one.name} <span className="faint">{unitOf(one.unit)}</span>
                  </button>
                </li>
              ))}
            </ul>
            {found.length === 0 && <p className="panel-body soft">No metric has this in its name.</p>}
          </nav>
          {chosen && <Explorer where={where} metric={chosen} range={range} address={address} />}
        </div>
      )}
    </Page>
  );
}
