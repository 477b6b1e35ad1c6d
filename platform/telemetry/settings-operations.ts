// The operations of telemetry settings: what an environment keeps, samples and copies.
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import { type EnvironmentSettings, settingsIn } from "./environment-settings.ts";
import { changed, TelemetryChange, TelemetrySettings } from "./telemetry-settings.ts";

export interface SettingsOperationParts {
  settings: EnvironmentSettings;
  /** Throws `not_found` where the organization has no such environment. */
  projects: {
    environment(
      organizationId: string,
      project: string,
      environment: string,
    ): Promise<{ environment: { id: string; telemetry: object } }>;
  };
}

export function telemetrySettingsOperations({ settings, projects }: SettingsOperationParts): Operation[] {
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
