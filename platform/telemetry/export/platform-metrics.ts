// Metrics of the platform for Prometheus: what telemetry came in, waits, is sampled and copied, and what the router answered.
import { Counter, Gauge, Registry } from "prom-client";
import type { RequestMetricsState } from "../../runtime/router/request-metrics.ts";
import type { TelemetryStore } from "../clickhouse.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { DeploymentTenant } from "../runtime-metrics/deployment-tenants.ts";
import type { Forwarder } from "./forwarder.ts";
import { type FamilyValue, histogramValues, registerFamily } from "./metric-family.ts";
import { labels } from "./prometheus-names.ts";

export interface PlatformMetricsParts {
  store: Pick<TelemetryStore, "spool" | "tail">;
  ingest: Pick<Ingest, "counts">;
  forwarder: Pick<Forwarder, "total">;
  /** What the router measured. A router that does not answer leaves its metric empty, never the others. */
  requests(): Promise<RequestMetricsState>;
  /** Whose deployments the router's groups are. */
  tenantsOf(deployments: readonly string[]): Promise<ReadonlyMap<string, DeploymentTenant>>;
}

/** A registry whose values are read when it is asked. Its text is `await registry.metrics()`. */
export function platformMetrics({ store, ingest, forwarder, requests, tenantsOf }: PlatformMetricsParts): Registry {
  const registers = [new Registry()];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  new Counter({
    name: "tsdev_telemetry_items_total",
    help: "Spans, log records and data points that came in, by what became of them.",
    labelNames: ["signal", "outcome"] as const,
    registers,
    collect() {
      this.reset();
      for (const [signal, { accepted, rejected }] of Object.entries(ingest.counts)) {
        this.inc({ signal, outcome: "accepted" }, accepted);
        this.inc({ signal, outcome: "rejected" }, rejected);
      }
    },
  });
  gauge("tsdev_telemetry_spool_files", "Files of rows that wait for ClickHouse.", () => store.spool().files);
  gauge("tsdev_telemetry_spool_bytes", "Bytes of rows that wait for ClickHouse.", () => store.spool().bytes);
  gauge("tsdev_clickhouse_away_seconds", "Seconds since ClickHouse went away; 0 while it is there.", () => {
    const { awaySince } = store.spool();
    return awaySince === null ? 0 : (Date.now() - awaySince) / 1_000;
  });
  gauge("tsdev_sampling_traces", "Traces whose decision is to come or is remembered.", () => store.tail.state().traces);
  gauge("tsdev_sampling_bytes", "Bytes of spans that wait for a decision.", () => store.tail.state().bytes);
  gauge("tsdev_sampling_windows", "Windows of spans that wait for a decision.", () => store.tail.state().windows);
  counter(
    "tsdev_forward_requests_total",
    "Requests that were copied to other endpoints.",
    () => forwarder.total().sent,
  );
  counter("tsdev_forward_dropped_total", "Requests that could not be copied.", () => forwarder.total().dropped);
  gauge("tsdev_forward_waiting_bytes", "Bytes that wait to be copied.", () => forwarder.total().waitingBytes);
  counter("process_cpu_seconds_total", "Processor time of the control plane, user and system.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  gauge("process_resident_memory_bytes", "Resident memory of the control plane.", () => process.memoryUsage.rss());
  const name = "http_server_request_duration_seconds";
  const help = "Duration of HTTP requests to apps and to the platform, measured by the router.";
  registerFamily(registers[0]!, { name, help, type: "histogram" }, async () => {
    try {
      const state = await requests();
      const tenants = await tenantsOf(state.groups.map(({ group }) => group));
      return requestValues(name, state, tenants);
    } catch {
      return [];
    }
  });
  return registers[0]!;
}

function requestValues(
  name: string,
  { bounds, groups }: RequestMetricsState,
  tenants: ReadonlyMap<string, DeploymentTenant>,
): FamilyValue[] {
  return groups.flatMap(({ group, points }) => {
    const of = tenants.get(group);
    const { organizationId = "", project = "", environment = "" } = of?.tenant ?? {};
    const where = of
      ? { organization: organizationId, project, environment, service: of.service, deployment: group }
      : { organization: "", project: "", environment: "", service: group, deployment: "" };
    return points.flatMap(({ attributes, histogram: { count, sum, buckets } }) => {
      const texts = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, String(value)]));
      return histogramValues(name, { ...where, ...labels(texts) }, { bounds, counts: buckets, count, sum });
    });
  });
}
