// Metrics of the platform's telemetry for Prometheus: what came in, what waits, what is sampled and copied.
import { Counter, Gauge, Registry } from "prom-client";
import type { TelemetryStore } from "../clickhouse.ts";
import type { Ingest } from "../ingest/ingest.ts";
import type { Forwarder } from "./forwarder.ts";

export interface PlatformMetricsParts {
  store: Pick<TelemetryStore, "spool" | "tail">;
  ingest: Pick<Ingest, "counts">;
  forwarder: Pick<Forwarder, "total">;
}

/** A registry whose values are read when it is asked. Its text is `await registry.metrics()`. */
export function platformMetrics({ store, ingest, forwarder }: PlatformMetricsParts): Registry {
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
  return registers[0]!;
}
