// The telemetry settings of an environment: how long each signal is kept, what is sampled, and who gets a copy.
import { z } from "zod";

const Days = z.int().min(1).max(400);

/** A copy of what arrives goes to an OTLP endpoint; headers may hold `${secrets.NAME}`, never the secret itself. */
export const ForwardTarget = z.object({
  /** OTLP over HTTP: the base address, to which `/v1/traces` and so on is added. */
  endpoint: z.url({ protocol: /^https?$/ }),
  headers: z.record(z.string(), z.string()).default({}),
  signals: z
    .array(z.enum(["traces", "logs", "metrics"]))
    .min(1)
    .default(["traces", "logs", "metrics"]),
});
export type ForwardTarget = z.infer<typeof ForwardTarget>;

export const TelemetrySettings = z.object({
  retentionDays: z
    .object({ traces: Days.default(14), logs: Days.default(14), metrics: Days.default(30) })
    .prefault({})
    .meta({ description: "days that each signal is kept; holds for what arrives from then on" }),
  sampling: z
    .object({
      /** Share of the traces kept of those that are neither failed, slow nor cited; 1 keeps all and decides nothing. */
      keepShare: z.number().min(0).max(1).default(1),
      /** A trace at or above this quantile of its own operation's durations is slow, and kept. */
      slowQuantile: z.number().min(0.5).max(0.9999).default(0.95),
      /** Seconds from a trace's first span to the decision. */
      waitSeconds: z.int().min(1).max(120).default(10),
      /** At least this many ordinary traces a minute are kept of every operation, however rare it is. */
      minPerMinute: z.int().min(0).max(1_000).default(6),
    })
    .prefault({})
    .meta({ description: "which traces are kept; without it all are" }),
  forward: z.array(ForwardTarget).max(4).default([]),
});
export type TelemetrySettings = z.infer<typeof TelemetrySettings>;

/** Of an environment that has set nothing. */
export const defaultTelemetrySettings: TelemetrySettings = TelemetrySettings.parse({});
