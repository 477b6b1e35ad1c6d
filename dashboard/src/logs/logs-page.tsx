// Logs page: the lines of an environment as they are written or of a stretch of time, narrowed by what they carry.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { type ApiError, read } from "../api/client.ts";
import type { LogRecord, Severity } from "../api/types.ts";
import { type Numbered, useLines } from "../api/use-lines.ts";
import { plural } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import { AttributeFilters } from "../telemetry/attribute-filters.tsx";
import { NoData } from "../telemetry/no-data.tsx";
import { SearchField } from "../telemetry/search-field.tsx";
import { TimeChoice, type TimeRange, timeRangeIn } from "../telemetry/time-range.tsx";
import { type Address, useAddress } from "../telemetry/use-address.ts";
import "../traces/traces.css";
import { filtersIn, inputOf, type LogFilters, narrowed, severities } from "./filters.ts";
import { LogChart } from "./log-chart.tsx";
import { LogList } from "./log-list.tsx";
import "./logs.css";
import "./severity.css";

const mostLines = 5000;
const pageSize = 500;
const usual = "1d";

type Line = Numbered<LogRecord>;
type Where = { project: string; environment: string };

interface Lines {
  lines: Line[];
  /** In a word or two. */
  state: string;
  busy: boolean;
  ready: boolean;
  error: unknown;
}

/** As they are written; while paused, those that were there when it was. */
function useLive(where: Where, filters: LogFilters, range: TimeRange, paused: boolean, enabled: boolean) {
  const input = { ...where, since: range.since, ...inputOf(filters) };
  const { lines, state, error } = useLines("logs.follow", input, mostLines, enabled);
  const [held, setHeld] = useState<Line[] | null>(null);
  if (paused && held === null) setHeld(lines);
  if (!paused && held !== null) setHeld(null);
  const shown = held ?? lines;
  const last = shown.at(-1)?.key ?? -1;
  const waiting = held === null ? 0 : lines.filter(({ key }) => key > last).length;
  const live: Lines = {
    lines: shown,
    state: state === "open" ? (paused ? "paused" : "live") : state === "broken" ? "not connected" : "connecting",
    busy: state === "open" && !paused,
    ready: state === "open",
    error: state === "broken" ? error : null,
  };
  return { ...live, waiting };
}

/** Of a stretch of time that is over. */
function usePast(where: Where, filters: LogFilters, range: TimeRange, enabled: boolean) {
  const input = {
    ...where,
    ...inputOf(filters),
    since: range.since,
    ...(range.until ? { until: range.until } : {}),
    limit: pageSize,
  };
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["logs.search", input],
    queryFn: ({ pageParam, signal }) =>
      read("logs.search", { ...input, ...(pageParam ? { cursor: pageParam } : {}) }, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.cursor,
    enabled,
  });
  const lines = useMemo(() => {
    const records = data?.pages.toReversed().flatMap((page) => page.records) ?? [];
    // counted from the newest, so that older ones that come leave the keys as they are
    return records.map((record, index) => ({ ...record, key: records.length - index }));
  }, [data]);
  const past: Lines = { lines, state: "of this time", busy: false, ready: data !== undefined, error };
  return { ...past, older: hasNextPage ? () => void fetchNextPage() : null, loading: isFetchingNextPage };
}

function Filters(props: { address: Address; filters: LogFilters; services: string[]; range: TimeRange }) {
  const { address, filters, services, range } = props;
  return (
    <>
      <SearchField
        grow
        label="Search in the logs"
        placeholder="Search: lower case finds any case"
        value={filters.search}
        most={500}
        onChange={(search) => address.set({ search })}
      />
      <select
        className="field"
        aria-label="Least severity"
        value={filters.severity}
        onChange={(event) => {
          const severity = event.target.value as Severity;
          address.set({ severity: severity === "trace" ? null : severity });
        }}
      >
        {severities.map((name) => (
          <option key={name} value={name}>
            {name === "trace" ? "all severities" : name === "fatal" ? name : `${name} and above`}
          </option>
        ))}
      </select>
      <SearchField
        label="Service"
        value={filters.service}
        list={services}
        onChange={(service) => address.set({ service })}
      />
      <AttributeFilters address={address} />
      {filters.trace && (
        <button
          type="button"
          className="chip"
          aria-label="No longer only one trace"
          onClick={() => address.set({ trace: null })}
        >
          trace <span className="mono">{filters.trace.slice(0, 8)}…</span> ✕
        </button>
      )}
      <TimeChoice address={address} range={range} />
    </>
  );
}

export default function LogsPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const where = { project, environment };
  const address = useAddress();
  const filters = filtersIn(address);
  const range = timeRangeIn(address, usual);
  const isPast = range.until !== undefined;
  const [paused, setPaused] = useState(false);
  const [atEnd, setAtEnd] = useState(true);
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const live = useLive(where, filters, range, paused, !isPast);
  const past = usePast(where, filters, range, isPast);
  const { lines, state, busy, ready, error } = isPast ? past : live;
  const services = useMemo(() => [...new Set(lines.map(({ service }) => service))].sort(), [lines]);
  const isNarrowed = narrowed(filters);
  return (
    <Page wide title={project} documentTitle={`Logs of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <Filters address={address} filters={filters} services={services} range={range} />
        {!isPast && (
          <button type="button" className="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? `Go on${live.waiting > 0 ? ` (${live.waiting})` : ""}` : "Pause"}
          </button>
        )}
      </search>
      <section className="panel" aria-labelledby="log-lines">
        <header>
          <h2 id="log-lines">{environment}</h2>
          <span className={`state ${busy ? "accent busy" : ""}`}>
            {state}
            {lines.length > 0 && `, ${plural(lines.length, "line")}`}
            {lines.length >= mostLines && !isPast && ", older ones are let go"}
          </span>
        </header>
        <LogChart where={where} filters={filters} range={range} address={address} />
        {error ? <ErrorNotice error={error as ApiError} /> : null}
        {isPast && past.older && (
          <p className="logs-older">
            <button type="button" className="button small" disabled={past.loading} onClick={past.older}>
              {past.loading ? "Loading…" : "Older lines"}
            </button>
          </p>
        )}
        {lines.length === 0 && ready ? (
          <div className="panel-body">
            {isNarrowed || isPast ? (
              <Empty title="No line fits">
                {isPast ? "Ask for less, or look at another time." : "Lines that fit show up here as they are written."}
              </Empty>
            ) : (
              <NoData project={project} title="No line yet">
                What an app prints or logs shows up here as it is written.
              </NoData>
            )}
          </div>
        ) : (
          <LogList
            lines={lines}
            following={atEnd && !paused && !isPast}
            onFollowing={setAtEnd}
            opened={opened}
            onToggle={(key) => {
              const next = new Set(opened);
              if (!next.delete(key)) next.add(key);
              setOpened(next);
            }}
            where={where}
            onFilter={(change) =>
              address.set(
                "attribute" in change
                  ? { attribute: [...new Set([...filters.attributes, change.attribute])] }
                  : (change as Record<string, string>),
              )
            }
          />
        )}
      </section>
    </Page>
  );
}
