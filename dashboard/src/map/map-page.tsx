// Service map page: which service calls which and what they use, with rate, errors and the 95th percentile of each.
import { useMemo, useState, useSyncExternalStore } from "react";
import { Link, useLocation } from "wouter";
import { calmMs, useRead } from "../api/hooks.ts";
import type { ServiceMap } from "../api/types.ts";
import { milliseconds, plural } from "../design/format.ts";
import { ErrorNotice } from "../design/notice.tsx";
import { Page, ProjectTabs, Waiting } from "../frame/frame.tsx";
import { useEnvironment } from "../projects/use-environment.tsx";
import { NoData } from "../telemetry/no-data.tsx";
import { errorShare, rate } from "../telemetry/rates.ts";
import { limitsOf, TimeChoice, timeRangeIn } from "../telemetry/time-range.tsx";
import { useAddress } from "../telemetry/use-address.ts";
import "../traces/traces.css";
import { type MapEdge, nodeSize, type Placed, place } from "./layout.ts";
import "./map.css";

const kinds: Record<ServiceMap["nodes"][number]["kind"], string> = {
  service: "service",
  database: "database",
  messaging: "messaging",
  external: "elsewhere",
};

const narrow = matchMedia("(max-width: 700px)");
function useNarrow(): boolean {
  return useSyncExternalStore(
    (listener) => {
      narrow.addEventListener("change", listener);
      return () => narrow.removeEventListener("change", listener);
    },
    () => narrow.matches,
  );
}

const mostLetters = 24;
const shortened = (name: string) => (name.length > mostLetters ? `${name.slice(0, mostLetters - 1)}…` : name);

/** Pixels: ten times the calls are one and a half more. */
const widthOf = (edge: MapEdge) => 1.2 + Math.log10(Math.max(1, edge.requests)) * 0.5;

interface Figures {
  requests: number;
  errors: number;
  p95Ms: number;
}

function said({ requests, errors, p95Ms }: Figures, seconds: number): string {
  if (requests === 0) return "nothing came in";
  return `${rate(requests, seconds)}, ${errorShare(errors, requests)} errors, 95th percentile ${milliseconds(p95Ms)}`;
}

function Drawing(props: { placed: Placed; seconds: number; label: string; addressOf: (service: string) => string }) {
  const { placed, seconds } = props;
  const [, go] = useLocation();
  const [near, setNear] = useState<string | null>(null);
  const touches = ({ from, to }: MapEdge) => near === null || from === near || to === near;
  const beside = new Set(placed.edges.filter(({ edge }) => touches(edge)).flatMap(({ edge }) => [edge.from, edge.to]));
  return (
    // biome-ignore lint/a11y/useSemanticElements: a drawing that holds links has no element of its own
    <svg
      className="map"
      viewBox={`0 0 ${placed.width} ${placed.height}`}
      style={{ maxWidth: placed.width }}
      role="group"
      aria-label={props.label}
    >
      <defs>
        <marker
          id="arrow"
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          orient="auto"
          markerUnits="userSpaceOnUse"
        >
          <path d="M0,0.5 L8,4 L0,7.5 z" className="arrow" />
        </marker>
      </defs>
      {placed.edges.map(({ edge, path, x, y }) => (
        <g key={`${edge.from} ${edge.to}`} className={touches(edge) ? "edge" : "edge dim"}>
          <title>{`${edge.from} calls ${edge.to}: ${said(edge, seconds)}`}</title>
          <path
            d={path}
            className={edge.errors > 0 ? "way bad" : "way"}
            strokeWidth={widthOf(edge)}
            markerEnd="url(#arrow)"
          />
          <text x={x} y={y - 6} className="edge-text">
            {rate(edge.requests, seconds)}
          </text>
          <text x={x} y={y + 15} className={edge.errors > 0 ? "edge-text bad" : "edge-text"}>
            {milliseconds(edge.p95Ms)}
            {edge.errors > 0 && ` · ${errorShare(edge.errors, edge.requests)}`}
          </text>
        </g>
      ))}
      {placed.nodes.map(({ node, x, y }) => {
        const to = node.kind === "service" ? props.addressOf(node.name) : null;
        const left = x - nodeSize.width / 2;
        const top = y - nodeSize.height / 2;
        const body = (
          <>
            <title>{`${node.name}: ${said(node, seconds)}${to === null ? "" : ". Show its operations"}`}</title>
            <rect x={left} y={top} width={nodeSize.width} height={nodeSize.height} rx={8} className="box" />
            <rect x={left} y={top + 8} width={3} height={nodeSize.height - 16} className="stripe" />
            <text x={left + 14} y={top + 21} className="node-name">
              {shortened(node.name)}
            </text>
            <text x={left + 14} y={top + 37} className="node-figures">
              {node.requests === 0
                ? kinds[node.kind]
                : `${rate(node.requests, seconds)} · p95 ${milliseconds(node.p95Ms)}`}
            </text>
            <text x={left + 14} y={top + 52} className={node.errors > 0 ? "node-figures bad" : "node-figures"}>
              {node.requests === 0 ? "nothing came in" : `${errorShare(node.errors, node.requests)} errors`}
            </text>
          </>
        );
        const shared = {
          className: `node ${node.kind}${near !== null && node.name !== near && !beside.has(node.name) ? " dim" : ""}`,
          onMouseEnter: () => setNear(node.name),
          onMouseLeave: () => setNear(null),
          onFocus: () => setNear(node.name),
          onBlur: () => setNear(null),
        };
        return to === null ? (
          <g key={node.name} {...shared}>
            {body}
          </g>
        ) : (
          <a
            key={node.name}
            {...shared}
            href={to}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return;
              event.preventDefault();
              go(to);
            }}
          >
            {body}
          </a>
        );
      })}
    </svg>
  );
}

function Table({
  map,
  seconds,
  addressOf,
}: {
  map: ServiceMap;
  seconds: number;
  addressOf: (service: string) => string;
}) {
  return (
    <div className="scroll-x">
      <table className="rows">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col" className="num">
              Calls
            </th>
            <th scope="col" className="num">
              Errors
            </th>
            <th scope="col" className="num">
              p95
            </th>
          </tr>
        </thead>
        <tbody>
          {map.edges.map((edge) => (
            <tr key={`${edge.from} ${edge.to}`}>
              <td>
                <Link href={addressOf(edge.from)}>{edge.from}</Link>
              </td>
              <td className="wide">{edge.to}</td>
              <td className="num">{rate(edge.requests, seconds)}</td>
              <td className={edge.errors > 0 ? "num bad-text" : "num"}>{errorShare(edge.errors, edge.requests)}</td>
              <td className="num">{milliseconds(edge.p95Ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export default function MapPage({ project }: { project: string }) {
  const { environment, select } = useEnvironment(project);
  const address = useAddress();
  const range = timeRangeIn(address);
  const direction = useNarrow() ? "TB" : "LR";
  const { data, error, refetch } = useRead(
    "services.map",
    { project, environment, since: range.since, ...(range.until ? { until: range.until } : {}) },
    { every: range.until ? false : calmMs },
  );
  const placed = useMemo(() => data && place(data, direction), [data, direction]);
  const limits = limitsOf(range);
  const seconds = (limits.to - limits.from) / 1000;
  const addressOf = (service: string) =>
    `/projects/${project}/operations?${new URLSearchParams({ environment, service, since: range.since, ...(range.until ? { until: range.until } : {}) })}`;
  return (
    <Page
      wide
      title={project}
      documentTitle={`Service map of ${project}`}
      crumbs={[{ text: "Projects", to: "/projects" }]}
    >
      <ProjectTabs project={project} />
      <search className="filters">
        {select}
        <span className="spread" />
        <TimeChoice address={address} range={range} />
      </search>
      {error ? (
        <ErrorNotice error={error} retry={() => void refetch()} />
      ) : !data || !placed ? (
        <Waiting />
      ) : data.nodes.length === 0 ? (
        <NoData project={project} title="No service in this time">
          A service stands here as soon as it has answered a request.
        </NoData>
      ) : (
        <section className="panel" aria-labelledby="map-title">
          <header>
            <h2 id="map-title">
              {plural(data.nodes.filter(({ kind }) => kind === "service").length, "service")},{" "}
              {plural(data.edges.length, "way")} of calls
            </h2>
            <ul className="kinds" aria-label="Colours">
              {(Object.keys(kinds) as (keyof typeof kinds)[])
                .filter((kind) => data.nodes.some((node) => node.kind === kind))
                .map((kind) => (
                  <li key={kind}>
                    <span className={`dot map-${kind}`} /> {kinds[kind]}
                  </li>
                ))}
            </ul>
          </header>
          <div className="map-box">
            <Drawing placed={placed} seconds={seconds} label={`Service map of ${environment}`} addressOf={addressOf} />
          </div>
          {data.edges.length > 0 && (
            <details className="map-table">
              <summary>As a table</summary>
              <Table map={data} seconds={seconds} addressOf={addressOf} />
            </details>
          )}
        </section>
      )}
    </Page>
  );
}
