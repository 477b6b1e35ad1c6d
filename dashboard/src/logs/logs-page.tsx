// Logs page: the lines of an environment as they are written, with search; it follows the end until one scrolls up.
import { useVirtualizer } from "@tanstack/react-virtual";
import { useDeferredValue, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import type { LogRecord, Severity } from "../api/types.ts";
import { useLines } from "../api/use-lines.ts";
import { clock, date, plural } from "../design/format.ts";
import { Empty, ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import "../traces/traces.css";
import { readLogText } from "./log-text.ts";
import "./logs.css";

const severities: Severity[] = ["trace", "debug", "info", "warn", "error", "fatal"];
const mostLines = 5000;
const since = "1d";
const nearEnd = 60;
const lineHeight = 22;
function LogLine({ line }: { line: LogRecord }) {
  const { message, rest } = readLogText(line.text);
  return (
    <>
      <time dateTime={line.time} title={date(line.time)}>
        {clock(line.time)}
      </time>
      <span className={`severity ${line.severity}`}>{line.severity}</span>
      <span className="service">{line.service}</span>
      <span className="text">
        {message}
        {rest && <span className="rest"> {rest}</span>}
        {line.traceId && (
          <>
            {" "}
            <Link href={`/traces/${line.traceId}`}>trace</Link>
          </>
        )}
      </span>
    </>
  );
}

export default function LogsPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const [search, setSearch] = useState("");
  const [severity, setSeverity] = useState<Severity>("trace");
  const [following, setFollowing] = useState(true);
  const wanted = useDeferredValue(search.trim());
  const { lines, state, error } = useLines(
    "logs.follow",
    {
      project,
      environment,
      since,
      ...(wanted ? { search: wanted } : {}),
      ...(severity === "trace" ? {} : { severity }),
    },
    mostLines,
  );
  const box = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => lineHeight,
    getItemKey: (index) => lines[index]?.key ?? index,
    overscan: 30,
  });

  useEffect(() => {
    if (following && lines.length > 0) virtualizer.scrollToIndex(lines.length - 1, { align: "end" });
  }, [following, lines, virtualizer]);

  return (
    <Page wide title={project} documentTitle={`Logs of ${project}`} crumbs={[{ text: "Projects", to: "/projects" }]}>
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <input
          className="field grow"
          type="search"
          aria-label="Search in the logs"
          placeholder="Search: lower case finds any case"
          value={search}
          maxLength={500}
          onChange={(event) => setSearch(event.target.value)}
        />
        <select
          className="field"
          aria-label="Least severity"
          value={severity}
          onChange={(event) => setSeverity(event.target.value as Severity)}
        >
          {severities.map((name) => (
            <option key={name} value={name}>
              {name === "trace" ? "all severities" : name === "fatal" ? name : `${name} and above`}
            </option>
          ))}
        </select>
        <button type="button" className="button" aria-pressed={following} onClick={() => setFollowing(!following)}>
          {following ? "Pause" : "Follow"}
        </button>
      </search>
      <section className="panel" aria-labelledby="log-lines">
        <header>
          <h2 id="log-lines">{environment}</h2>
          <span className={`state ${state === "open" && following ? "accent busy" : ""}`}>
            {state === "open" ? (following ? "live" : "paused") : state === "broken" ? "not connected" : "connecting"}
            {lines.length > 0 && `, ${plural(lines.length, "line")} of the last day`}
          </span>
        </header>
        {error && state === "broken" && <ErrorNotice error={error} />}
        {lines.length === 0 && state === "open" ? (
          <div className="panel-body">
            <Empty title={wanted || severity !== "trace" ? "No line fits" : "No line yet"}>
              {wanted || severity !== "trace"
                ? "Lines that fit show up here as they are written."
                : "What the app prints shows up here as it is written. Deploy it, or send it a request."}
            </Empty>
          </div>
        ) : (
          <div
            ref={box}
            className="logs-box"
            role="log"
            aria-labelledby="log-lines"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
            tabIndex={0}
            onScroll={(event) => {
              const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
              const atEnd = scrollHeight - scrollTop - clientHeight < nearEnd;
              if (atEnd !== following && (atEnd || scrollTop > 0)) setFollowing(atEnd);
            }}
          >
            <div style={{ height: virtualizer.getTotalSize(), position: "relative" }}>
              {virtualizer.getVirtualItems().map((item) => {
                const line = lines[item.index];
                if (!line) return null;
                return (
                  <div
                    key={item.key}
                    ref={virtualizer.measureElement}
                    data-index={item.index}
                    className="logs-line"
                    style={{ transform: `translateY(${item.start}px)` }}
                  >
                    <LogLine line={line} />
                  </div>
                );
              })}
            </div>
          </div>
        )}
      </section>
    </Page>
  );
}
