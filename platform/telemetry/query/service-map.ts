// The service map: which service calls which, and what they use that sends no spans itself.
import type { TelemetryReader } from "../reader.ts";
import { entrySpan, rowConditions, type SpanFilter } from "./span-filter.ts";

export interface ServiceNode {
  name: string;
  /** `service` sends spans itself; the others are seen by the calls to them alone. */
  kind: "service" | "database" | "messaging" | "external";
  /** What came in, of a service; the calls to it, of another. */
  requests: number;
  errors: number;
  p95Ms: number;
}

export interface ServiceEdge {
  from: string;
  to: string;
  requests: number;
  errors: number;
  p95Ms: number;
}

export interface ServiceMap {
  nodes: ServiceNode[];
  edges: ServiceEdge[];
}

interface Row {
  from: string;
  to: string;
  kind: ServiceNode["kind"];
  requests: number;
  errors: number;
  p95: number;
}

const measures = (span: string) =>
  `sum(${span}AdjustedCount) AS requests, sumIf(${span}AdjustedCount, ${span}StatusCode = 'Error') AS errors,
  quantileTDigestWeighted(0.95)(${span}Duration, toUInt64(greatest(1, round(${span}AdjustedCount)))) AS p95`;

const attribute = (...names: string[]) =>
  `coalesce(${names.map((name) => `nullIf(SpanAttributes['${name}'], '')`).join(", ")}, '')`;
// The stable names first, then those that were in use before.
const database = attribute("db.system.name", "db.system");
const messaging = attribute("messaging.system");
const address = attribute("server.address", "net.peer.name", "peer.service");
const namespace = attribute("db.namespace", "db.name");

/** At most so many edges of each kind, the busiest first. */
const edgeLimit = 500;

/** A call between two services is seen by the caller's span and the callee's, and counts once. */
export async function serviceMap(reader: TelemetryReader, filter: SpanFilter): Promise<ServiceMap> {
  const { where, params } = rowConditions("otel_traces", filter);
  const spans = `SELECT TraceId, SpanId, ParentSpanId, ServiceName, SpanKind, StatusCode, Duration, AdjustedCount
    FROM otel_traces WHERE ${where}`;
  const [services, calls, uses] = await Promise.all([
    reader.query<Row>(
      `SELECT '' AS from, ServiceName AS to, 'service' AS kind, ${measures("")}
        FROM otel_traces WHERE ${where} AND ${entrySpan} GROUP BY to ORDER BY requests DESC LIMIT ${edgeLimit}`,
      params,
    ),
    reader.query<Row>(
      `SELECT caller.ServiceName AS from, callee.ServiceName AS to, 'service' AS kind, ${measures("callee.")}
        FROM (${spans} AND SpanKind IN ('Server', 'Consumer') AND ParentSpanId != '') AS callee
        INNER JOIN (${spans} AND SpanKind IN ('Client', 'Producer')) AS caller
          ON caller.TraceId = callee.TraceId AND caller.SpanId = callee.ParentSpanId
        WHERE from != to GROUP BY from, to ORDER BY requests DESC LIMIT ${edgeLimit}`,
      params,
    ),
    reader.query<Row>(
      `SELECT ServiceName AS from,
          multiIf(${database} != '', concat(${database}, if(${namespace} = '', '', concat('/', ${namespace}))),
            ${messaging} != '', ${messaging}, ${address}) AS to,
          multiIf(${database} != '', 'database', ${messaging} != '', 'messaging', 'external') AS kind, ${measures("")}
        FROM otel_traces WHERE ${where} AND SpanKind IN ('Client', 'Producer') AND to != ''
          AND (TraceId, SpanId) NOT IN (SELECT TraceId, ParentSpanId FROM otel_traces
            WHERE ${where} AND SpanKind IN ('Server', 'Consumer') AND ParentSpanId != '')
        GROUP BY from, to, kind ORDER BY requests DESC LIMIT ${edgeLimit}`,
      params,
    ),
  ]);
  const nodes = new Map<string, ServiceNode>();
  for (const row of services) nodes.set(row.to, { name: row.to, kind: "service", ...figures(row) });
  for (const row of [...calls, ...uses]) {
    // A service whose only spans are calls has answered nothing in this time.
    if (!nodes.has(row.from))
      nodes.set(row.from, { name: row.from, kind: "service", requests: 0, errors: 0, p95Ms: 0 });
  }
  for (const row of uses) {
    const before = nodes.get(row.to);
    if (before === undefined) nodes.set(row.to, { name: row.to, kind: row.kind, ...figures(row) });
    else if (before.kind !== "service") {
      before.requests += row.requests;
      before.errors += row.errors;
      before.p95Ms = Math.max(before.p95Ms, row.p95 / 1e6);
    }
  }
  const edges = [...calls, ...uses].map((row) => ({ from: row.from, to: row.to, ...figures(row) }));
  return { nodes: [...nodes.values()], edges };
}

function figures({ requests, errors, p95 }: Row): { requests: number; errors: number; p95Ms: number } {
  return { requests, errors, p95Ms: p95 / 1e6 };
}
