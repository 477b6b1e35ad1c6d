// What Node itself knows of the process: event loop, heap, CPU and memory, named by OpenTelemetry's conventions.
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { getHeapSpaceStatistics } from "node:v8";
import type { Meter } from "@opentelemetry/api";

/** Distance of the looks at the event loop, milliseconds. */
const resolutionMs = 20;

/** Measured at each collection; between them only a timer of the engine runs. */
export function measureProcess(meter: Meter): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  // The engine records how far two looks were apart: what is above their distance is the delay.
  const seconds = (ns: number) => (Number.isFinite(ns) ? Math.max(0, ns / 1e9 - resolutionMs / 1e3) : 0);
  const delays = (["min", "max", "mean", "p50", "p90", "p99"] as const).map((of) => ({
    of,
    gauge: meter.createObservableGauge(`nodejs.eventloop.delay.${of}`, {
      unit: "s",
      description: "how late the event loop came to its timers since the last collection",
    }),
  }));
  meter.addBatchObservableCallback(
    (result) => {
      if (delay.count > 0) {
        for (const { of, gauge } of delays) {
          const ns = of.startsWith("p") ? delay.percentile(Number(of.slice(1))) : delay[of as "min" | "max" | "mean"];
          result.observe(gauge, seconds(ns));
        }
      }
      delay.reset();
    },
    delays.map(({ gauge }) => gauge),
  );

  let before = performance.eventLoopUtilization();
  meter
    .createObservableGauge("nodejs.eventloop.utilization", {
      unit: "1",
      description: "share of the time since the last collection in which the event loop was busy",
    })
    .addCallback((result) => {
      const now = performance.eventLoopUtilization();
      result.observe(performance.eventLoopUtilization(now, before).utilization);
      before = now;
    });

  const used = meter.createObservableUpDownCounter("v8js.memory.heap.used", { unit: "By", description: "heap in use" });
  const limit = meter.createObservableUpDownCounter("v8js.memory.heap.limit", {
    unit: "By",
    description: "heap that is reserved",
  });
  meter.addBatchObservableCallback(
    (result) => {
      for (const { space_name, space_used_size, space_size } of getHeapSpaceStatistics()) {
        const attributes = { "v8js.heap.space.name": space_name };
        result.observe(used, space_used_size, attributes);
        result.observe(limit, space_size, attributes);
      }
    },
    [used, limit],
  );

  meter
    .createObservableCounter("process.cpu.time", { unit: "s", description: "CPU time of the process" })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe(user / 1e6, { "cpu.mode": "user" });
      result.observe(system / 1e6, { "cpu.mode": "system" });
    });
  meter
    .createObservableUpDownCounter("process.memory.usage", { unit: "By", description: "physical memory in use" })
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
}
