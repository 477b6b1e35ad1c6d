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

export const RetentionDays = z
  .object({ traces: Days, logs: Days, metrics: Days })
  .meta({ description: "days that each signal is kept; holds for what arrives from then on" });

export const Sampling = z
  .object({
    keepShare: z.number().min(0).max(1).meta({
      description: "share of the traces kept of those that are neither failed, slow nor cited; 1 keeps all",
    }),
    slowQuantile: z.number().min(0.5).max(0.9999).meta({
      description: "a trace at or above this quantile of its own operation's durations is slow, and kept",
    }),
    waitSeconds: z.int().min(1).max(120).meta({ description: "seconds from a trace's first span to the decision" }),
    minPerMinute: z.int().min(0).max(1_000).meta({
      description: "at least so many ordinary traces a minute are kept of every operation, however rare it is",
    }),
  })
  .meta({ description: "which traces are kept; without it all are" });

export const TelemetrySettings = z.object({
  retentionDays: RetentionDays,
  sampling: Sampling,
  forward: z.array(ForwardTarget).max(4),
});
export type TelemetrySettings = z.infer<typeof TelemetrySettings>;

/** Of an environment that has set nothing: all is kept, for two weeks, and metrics for a month. */
export const defaultTelemetrySettings: TelemetrySettings = {
  retentionDays: { traces: 14, logs: 14, metrics: 30 },
  sampling: { keepShare: 1, slowQuantile: 0.95, waitSeconds: 10, minPerMinute: 6 },
  forward: [],
};

/** A change of some settings: what is not named stays. */
export const TelemetryChange = z.object({
  retentionDays: RetentionDays.partial().optional(),
  sampling: Sampling.partial().optional(),
  forward: TelemetrySettings.shape.forward.optional().meta({ description: "replaces the list of copies" }),
});
export type TelemetryChange = z.infer<typeof TelemetryChange>;

/** Settings with a change, which is also how a stored part becomes whole. */
export function changed(before: TelemetrySettings, change: TelemetryChange): TelemetrySettings {
  return TelemetrySettings.parse({
    retentionDays: { ...before.retentionDays, ...given(change.retentionDays) },
    sampling: { ...before.sampling, ...given(change.sampling) },
    forward: change.forward ?? before.forward,
  });
}

function given(part: object | undefined): object {
  return Object.fromEntries(Object.entries(part ?? {}).filter(([, value]) => value !== undefined));
}
