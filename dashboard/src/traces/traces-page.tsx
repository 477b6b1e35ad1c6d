// Traces page: the newest traces of an environment, narrowed by service, operation, duration, errors and attributes.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "wouter";
import { type ApiError, read } from "../api/client.ts";
import { date, milliseconds, number } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import { AttributeFilters } from "../telemetry/attribute-filters.tsx";
import { NoData } from "../telemetry/no-data.tsx";
import { SearchField } from "../telemetry/search-field.tsx";
import { TimeChoice, timeRangeIn } from "../telemetry/time-range.tsx";
import { useAddress } from "../telemetry/use-address.ts";
import { Scatter } from "./scatter.tsx";
import "./traces.css";

const usual = "1d";
const pageSize = 100;

function millisecondsIn(text: string): number {
  const value = Number(text);
  return Number.isFinite(value) ? Math.max(0, value) : 0;
}

export default function TracesPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const address = useAddress();
  const range = timeRangeIn(address, usual);
  const text = (name: string) => address.get(name) ?? "";
  const [slower, faster] = [millisecondsIn(text("slower")), millisecondsIn(text("faster"))];
  const errorsOnly = address.get("errors") === "1";
  const [route, service, operation] = [text("route"), text("service"), text("operation")];
  const attributes = address.all("attribute").filter((pair) => pair.indexOf("=") > 0);
  const input = {
    project,
    environment,
    since: range.since,
    ...(range.until ? { until: range.until } : {}),
    errorsOnly,
    limit: pageSize,
    ...(slower > 0 ? { slowerThanMs: slower } : {}),
    ...(faster > 0 ? { fasterThanMs: faster } : {}),
    ...(route ? { route } : {}),
    ...(service ? { service } : {}),
    ...(operation ? { operation } : {}),
    ...(attributes.length > 0 ? { attributes } : {}),
  };
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage, refetch, isPlaceholderData } = useInfiniteQuery({
    queryKey: ["traces.search", input],
    queryFn: ({ pageParam, signal }) =>
      read("traces.search", { ...input, ...(pageParam ? { cursor: pageParam } : {}) }, signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.cursor,
    placeholderData: (previous) => previous,
  });
  const traces = useMemo(() => data?.pages.flatMap((page) => page.traces) ?? [], [data]);
  const services = useMemo(() => [...new Set(traces.map((one) => one.service))].sort(), [traces]);
  const longest = Math.max(...traces.map((trace) => trace.durationMs), 1);
  const narrowed =
    slower > 0 || faster > 0 || errorsOnly || attributes.length > 0 || [route, service, operation].some(Boolean);
  return (
    <Page wide title={project} documentTitle={`Traces of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <SearchField
          grow
          label="Route or name"
          placeholder="Route or name, such as /orders/:id"
          value={route}
          onChange={(value) => address.set({ route: value })}
        />
        <SearchField
          label="Service"
          value={service}
          list={services}
          onChange={(value) => address.set({ service: value })}
        />
        {operation && (
          <button
            type="button"
            className="chip"
            aria-label={`No longer only ${operation}`}
            onClick={() => address.set({ operation: null })}
          >
            {operation} ✕
          </button>
        )}
        <span className="pair">
          <SearchField
            type="number"
            label="Slower than, in milliseconds"
            placeholder="over ms"
            value={text("slower")}
            onChange={(value) => address.set({ slower: value })}
          />
          <SearchField
            type="number"
            label="Faster than, in milliseconds"
            placeholder="under ms"
            value={text("faster")}
            onChange={(value) => address.set({ faster: value })}
          />
        </span>
        <AttributeFilters address={address} />
        <label className="check">
          <input
            type="checkbox"
            checked={errorsOnly}
            onChange={(event) => address.set({ errors: event.target.checked ? "1" : null })}
          />
          with errors
        </label>
        <TimeChoice address={address} range={range} />
        <button type="button" className="button" onClick={() => void refetch()}>
          Refresh
        </button>
      </search>
      {error ? (
        <ErrorNotice error={error as ApiError} retry={() => void refetch()} />
      ) : !data ? (
        <Waiting />
      ) : traces.length === 0 ? (
        narrowed ? (
          <Empty title="No trace fits">Ask for less, or look further back.</Empty>
        ) : (
          <NoData project={project} title="No trace yet">
            Every request to what is deployed here makes one.
          </NoData>
        )
      ) : (
        <div className="stack">
          <Scatter traces={traces} address={address} />
          <div className={isPlaceholderData ? "panel scroll-x stale" : "panel scroll-x"}>
            <table className="rows traces-table">
              <thead>
                <tr>
                  <th scope="col">Trace</th>
                  <th scope="col">Duration</th>
                  <th scope="col" className="num">
                    Spans
                  </th>
                  <th scope="col" className="num">
                    Queries
                  </th>
                  <th scope="col" className="num">
                    Errors
                  </th>
                  <th scope="col" className="num">
                    When
                  </th>
                </tr>
              </thead>
              <tbody>
                {traces.map((trace) => (
                  <tr key={trace.traceId}>
                    <td className="wide">
                      <Link href={`/traces/${trace.traceId}`} title={date(trace.start)}>
                        {trace.name}
                      </Link>{" "}
                      <span className="faint small">{trace.service}</span>
                    </td>
                    <td>
                      <span className="duration">
                        <span className="meter">
                          <span style={{ width: `${(trace.durationMs / longest) * 100}%` }} />
                        </span>
                        {milliseconds(trace.durationMs)}
                      </span>
                    </td>
                    <td className="num">{number(trace.spans)}</td>
                    <td className="num">{trace.databaseQueries || <span className="faint">–</span>}</td>
                    <td className="num">
                      {trace.errors > 0 ? (
                        <strong className="bad-text">{trace.errors}</strong>
                      ) : (
                        <span className="faint">–</span>
                      )}
                    </td>
                    <td className="num">
                      <Ago time={trace.start} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </div>
      )}
      {hasNextPage && (
        <p className="more">
          <button type="button" className="button" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {isFetchingNextPage ? "Loading…" : "Older traces"}
          </button>
        </p>
      )}
    </Page>
  );
}
