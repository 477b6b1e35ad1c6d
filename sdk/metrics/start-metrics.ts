// Start of metrics: the global meter provider, and what sends its series every 15 seconds and at the end.
import { randomUUID } from "node:crypto";
import { metrics } from "@opentelemetry/api";
import { Delivery } from "../tracing/delivery.ts";
import type { AnyDelivery } from "../tracing/exit.ts";
import type { Settings } from "../tracing/settings.ts";
import { LeanMeterProvider } from "./meter.ts";
import { metricsRequest } from "./otlp-metrics.ts";
import { measureProcess } from "./process-metrics.ts";

const scopeName = "@tsdev/sdk/process";

/** Turns metrics on; answers what is flushed at the end of the process. */
export function startMetrics(settings: Settings): AnyDelivery {
  const provider = new LeanMeterProvider();
  const startMs = Date.now();
  const resource = { ...settings.resource, "service.instance.id": process.env.TSDEV_INSTANCE ?? randomUUID() };
  const delivery = new Delivery<string>({
    url: `${settings.endpoint}/v1/metrics`,
    headers: settings.headers,
    contentType: "application/json",
    // Each collection is a request; ten minutes of them wait for a collector that is away.
    ...{ maxItems: 1, delayMs: 0, maxQueued: 40 },
    encode: ([body]) => Buffer.from(body ?? "{}"),
  });
  const collect = () => {
    const body = metricsRequest(resource, provider.collect(), { startMs, nowMs: Date.now() });
    if (body !== undefined) delivery.add(body);
  };
  if (metrics.setGlobalMeterProvider(provider)) measureProcess(provider.getMeter(scopeName));
  setInterval(collect, settings.metrics.everyMs).unref();
  // A process that ends at once tells only what the app itself has measured.
  const collectRest = () => {
    if (provider.touched) collect();
  };
  return {
    get queued() {
      return delivery.queued + (provider.touched ? 1 : 0);
    },
    get away() {
      return delivery.away;
    },
    flush: (limitMs) => {
      collectRest();
      return delivery.flush(limitMs);
    },
    takeAll: () => {
      collectRest();
      return delivery.takeAll();
    },
  };
}
