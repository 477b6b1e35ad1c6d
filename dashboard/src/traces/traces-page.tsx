// Traces page: the newest traces of an environment, by slowness, errors or route.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { Link } from "wouter";
import { type ApiError, read } from "../api/client.ts";
import { date, milliseconds, number } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Ago } from "../design/time.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import "./traces.css";

const spans = ["15m", "1h", "1d", "7d"];
const slowChoices = [
  { text: "any time", ms: 0 },
  { text: "over 100 ms", ms: 100 },
  { text: "over 500 ms", ms: 500 },
  { text: "over 2 s", ms: 2000 },
];
const pageSize = 50;

export default function TracesPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const [since, setSince] = useState("1d");
  const [slower, setSlower] = useState(0);
  const [errorsOnly, setErrorsOnly] = useState(false);
  const [route, setRoute] = useState("");
  const wantedRoute = useDeferredValue(route.trim());
  const input = {
    project,
    environment,
    since,
    errorsOnly,
    limit: pageSize,
    ...(slower > 0 ? { slowerThanMs: slower } : {}),
    ...(wantedRoute ? { route: wantedRoute } : {}),
  };
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage, refetch, isPlaceholderData } = useInfiniteQuery({
    queryKey: ["traces.search", input],
    queryFn: ({ pageParam, signal }) =>
      read("traces.search", { ...input, ...(pageParam ? { cursor: pageParam } : {}) }, signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.cursor,
    placeholderData: (previous) => previous,
  });
  const traces = data?.pages.flatMap((page) => page.traces) ?? [];
  const longest = Math.max(...traces.map((trace) => trace.durationMs), 1);
  const narrowed = slower > 0 || errorsOnly || wantedRoute !== "";
  return (
    <Page title={project} documentTitle={`Traces of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <input
          className="field grow"
          type="search"
          aria-label="Route or name"
          placeholder="Route or name, such as /orders/:id"
          value={route}
          onChange={(event) => setRoute(event.target.value)}
        />
        <select
          className="field"
          aria-label="How slow"
          value={slower}
          onChange={(event) => setSlower(Number(event.target.value))}
        >
          {slowChoices.map((choice) => (
            <option key={choice.ms} value={choice.ms}>
              {choice.text}
            </option>
          ))}
        </select>
        <label className="check">
          <input type="checkbox" checked={errorsOnly} onChange={(event) => setErrorsOnly(event.target.checked)} />
          with errors
        </label>
        <fieldset className="segments" aria-label="How far back">
          {spans.map((span) => (
            <button key={span} type="button" aria-pressed={since === span} onClick={() => setSince(span)}>
              {span}
            </button>
          ))}
        </fieldset>
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
          <Empty title="No trace yet">
            Every request to what is deployed here makes one. Send it a request, or look further back.
          </Empty>
        )
      ) : (
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
                    </Link>
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
