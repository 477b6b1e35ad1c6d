// Operations page: rate, errors and duration of each operation, and of the chosen one over time.
import { useMemo } from "react";
import { Link } from "wouter";
import { calmMs, useRead } from "../api/hooks.ts";
import type { OperationMetrics } from "../api/types.ts";
import { milliseconds, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import { NoData } from "../telemetry/no-data.tsx";
import { errorShare, rate } from "../telemetry/rates.ts";
import { SearchField } from "../telemetry/search-field.tsx";
import { limitsOf, TimeChoice, type TimeRange, timeRangeIn } from "../telemetry/time-range.tsx";
import { type Address, useAddress } from "../telemetry/use-address.ts";
import "../traces/traces.css";
import "./operations.css";
import { RedCharts } from "./red-charts.tsx";

type Column = "requests" | "errors" | "p50Ms" | "p95Ms" | "p99Ms" | "maxMs";

const columns: { name: Column; text: string }[] = [
  { name: "requests", text: "Rate" },
  { name: "errors", text: "Errors" },
  { name: "p50Ms", text: "p50" },
  { name: "p95Ms", text: "p95" },
  { name: "p99Ms", text: "p99" },
  { name: "maxMs", text: "Longest" },
];

const keyOf = ({ service, operation }: { service: string; operation: string }) => `${service} ${operation}`;

function sortValue(one: OperationMetrics, column: Column): number {
  return column === "errors" ? one.errors / Math.max(1, one.requests) : one[column];
}

function Table(props: {
  operations: OperationMetrics[];
  seconds: number;
  address: Address;
  tracesOf: (one: OperationMetrics) => string;
}) {
  const { operations, seconds, address } = props;
  const asked = address.get("sort");
  const sort = columns.find(({ name }) => name === asked)?.name ?? "requests";
  const chosen = { service: address.get("service") ?? "", operation: address.get("operation") ?? "" };
  const sorted = operations.toSorted((a, b) => sortValue(b, sort) - sortValue(a, sort));
  const most = Math.max(1, ...operations.map(({ requests }) => requests));
  return (
    <div className="scroll-x">
      <table className="rows operations-table">
        <thead>
          <tr>
            <th scope="col">Operation</th>
            {columns.map(({ name, text }) => (
              <th key={name} scope="col" className="num" aria-sort={sort === name ? "descending" : undefined}>
                <button
                  type="button"
                  className="sort"
                  onClick={() => address.set({ sort: name === "requests" ? null : name })}
                >
                  {text}
                  {sort === name && <span aria-hidden="true"> ↓</span>}
                </button>
              </th>
            ))}
            <th scope="col">
              <span className="visually-hidden">Traces</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((one) => {
            const selected = keyOf(one) === keyOf(chosen);
            return (
              <tr key={keyOf(one)} className={selected ? "chosen" : undefined}>
                <td className="wide">
                  <button
                    type="button"
                    className="link"
                    aria-pressed={selected}
                    onClick={() =>
                      address.set(selected ? { operation: null } : { service: one.service, operation: one.operation })
                    }
                  >
                    {one.operation}
                  </button>{" "}
                  <span className="faint small">{one.service}</span>
                </td>
                <td className="num">
                  <span className="duration">
                    <span className="meter">
                      <span style={{ width: `${(one.requests / most) * 100}%` }} />
                    </span>
                    {rate(one.requests, seconds)}
                  </span>
                </td>
                <td className={one.errors > 0 ? "num bad-text" : "num faint"}>
                  {errorShare(one.errors, one.requests)}
                </td>
                <td className="num">{milliseconds(one.p50Ms)}</td>
                <td className="num">{milliseconds(one.p95Ms)}</td>
                <td className="num">{milliseconds(one.p99Ms)}</td>
                <td className="num">{milliseconds(one.maxMs)}</td>
                <td className="num">
                  <Link href={props.tracesOf(one)} aria-label={`Traces of ${one.operation}`}>
                    traces
                  </Link>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const rangeInput = (range: TimeRange) => ({ since: range.since, ...(range.until ? { until: range.until } : {}) });

export default function OperationsPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const address = useAddress();
  const range = timeRangeIn(address);
  const service = address.get("service") ?? "";
  const operation = address.get("operation") ?? "";
  const search = address.get("search") ?? "";
  const where = { project, environment, ...rangeInput(range), ...(service ? { service } : {}) };
  const every = range.until ? (false as const) : calmMs;
  const { data, error, refetch } = useRead("operations.list", { ...where, limit: 200 }, { every });
  const series = useRead("operations.series", { ...where, ...(operation ? { operation } : {}), points: 90 }, { every });
  const known = useRead("operations.list", { project, environment, ...rangeInput(range), limit: 200 }, { every });
  const services = useMemo(
    () =>
      [...new Set([...(known.data?.operations.map((one) => one.service) ?? []), ...(service ? [service] : [])])].sort(),
    [known.data, service],
  );
  const operations = (data?.operations ?? []).filter((one) =>
    one.operation.toLowerCase().includes(search.toLowerCase()),
  );
  const limits = limitsOf(range);
  const seconds = (limits.to - limits.from) / 1000;
  const tracesOf = (one: OperationMetrics) =>
    `/projects/${project}/traces?${new URLSearchParams({ environment, service: one.service, operation: one.operation, ...rangeInput(range) })}`;
  return (
    <Page
      wide
      title={project}
      documentTitle={`Operations of ${project}`}
      crumbs={[{ text: "Projects", to: "/projects" }]}
    >
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <select
          className="field"
          aria-label="Service"
          value={service}
          onChange={(event) => address.set({ service: event.target.value, operation: null })}
        >
          <option value="">all services</option>
          {services.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <SearchField
          grow
          label="Operation"
          placeholder="Part of an operation's name"
          value={search}
          onChange={(text) => address.set({ search: text })}
        />
        <TimeChoice address={address} range={range} />
      </search>
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Waiting />
      ) : data.operations.length === 0 ? (
        <NoData project={project} title="No request in this time">
          Every request to an app shows up here, by its route.
        </NoData>
      ) : (
        <div className="stack">
          <section aria-labelledby="red-title">
            <h2 id="red-title" className="red-title">
              {operation || service || "All operations"}
              {operation && (
                <button type="button" className="button small" onClick={() => address.set({ operation: null })}>
                  Show all operations
                </button>
              )}
            </h2>
            {series.error ? (
              <ErrorNotice error={series.error} retry={() => void series.refetch()} />
            ) : series.data ? (
              <RedCharts series={series.data} limits={limits} address={address} />
            ) : (
              <Waiting />
            )}
          </section>
          <section className="panel" aria-labelledby="operations-title">
            <header>
              <h2 id="operations-title">{plural(operations.length, "operation")}</h2>
              <span className="aside">requests that came in; sampled ones count for all they stand for</span>
            </header>
            {operations.length === 0 ? (
              <p className="panel-body soft">No operation has this in its name.</p>
            ) : (
              <Table operations={operations} seconds={seconds} address={address} tracesOf={tracesOf} />
            )}
          </section>
        </div>
      )}
    </Page>
  );
}
