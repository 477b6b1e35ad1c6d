// The operations of telemetry settings: what an environment keeps, samples and copies, and what became of its copies.
import { z } from "zod";
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import { type EnvironmentSettings, settingsIn } from "./environment-settings.ts";
import type { ForwardStatus } from "./export/forwarder.ts";
import type { Tenant } from "./ingest/tables.ts";
import { changed, TelemetryChange, TelemetrySettings } from "./telemetry-settings.ts";

export interface SettingsOperationParts {
  settings: EnvironmentSettings;
  /** What became of an environment's copies since the control plane began. */
  copies(tenant: Tenant): ForwardStatus[];
  /** Throws `not_found` where the organization has no such environment. */
  projects: {
    environment(
      organizationId: string,
      project: string,
      environment: string,
    ): Promise<{ environment: { id: string; telemetry: object } }>;
  };
}

const Copies = z.object({
  copies: z.array(
    z.object({
      endpoint: z.string(),
      sent: z.int().meta({ description: "requests that arrived there since the control plane began" }),
      dropped: z.int().meta({ description: "requests that could not be copied and are lost there" }),
      waiting: z.int(),
      waitingBytes: z.int(),
      lastError: z.string().meta({ description: "why the last try failed; empty after one that did not" }),
    }),
  ),
});

export function telemetrySettingsOperations({ settings, copies, projects }: SettingsOperationParts): Operation[] {
  return [
    operation({
      name: "telemetry.settings",
      summary: "Show how long an environment's telemetry is kept, what is sampled and where copies go",
      input: EnvironmentRef,
      output: TelemetrySettings,
      access: { role: "viewer", effect: "read", idempotent: true },
      async handler(input, { principal }) {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        return settingsIn(environment.telemetry);
      },
    }),

    operation({
      name: "telemetry.copies",
      summary: "Show what became of the copies of an environment's telemetry: sent, dropped, waiting",
      input: EnvironmentRef,
      output: Copies,
      access: { role: "viewer", effect: "read", idempotent: true },
      async handler({ project, environment }, { principal: { organizationId } }) {
        await projects.environment(organizationId, project, environment);
        return { copies: copies({ organizationId, project, environment }) };
      },
    }),

    operation({
      name: "telemetry.configure",
      summary: "Change how long an environment's telemetry is kept, what is sampled and where copies go",
      input: EnvironmentRef.extend(TelemetryChange.shape),
      output: TelemetrySettings,
      access: { role: "developer", effect: "write", idempotent: true },
      async handler(input, { principal }) {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        return settings.set(environment.id, changed(settingsIn(environment.telemetry), input));
      },
    }),
  ];
}
