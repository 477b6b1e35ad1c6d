// Deployment analysis: the detectors over what one deployment did in the last day.
import { type Analysis, analyze } from "../../analyzers/index.ts";
import type { DeploymentRow } from "../../platform/deployments/deployments.ts";
import type { Place } from "../../platform/projects/place.ts";
import type { TelemetryReader } from "../../platform/telemetry/reader.ts";

const lookBackMs = 24 * 3600 * 1000;
/** Clocks of apps may be a little ahead. */
const aheadMs = 60_000;

export function analyzeDeployment(reader: TelemetryReader, place: Place, deployment: DeploymentRow): Promise<Analysis> {
  return analyze(reader, {
    organizationId: deployment.organization_id,
    project: place.project.name,
    environment: place.environment.name,
    deployment: deployment.id,
    since: new Date(Date.now() - lookBackMs),
    until: new Date(Date.now() + aheadMs),
  });
}
