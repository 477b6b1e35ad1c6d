// Durations of requests as the router measured them, as OTLP metrics of the environments they went to.
import { metricsRequest } from "../../../sdk/metrics/otlp-metrics.ts";
import { type RequestMetricsState, requestDuration } from "../../runtime/router/request-metrics.ts";
import type { Tenant } from "../ingest/tables.ts";
import type { DeploymentTenant } from "./deployment-tenants.ts";

const scopeName = "tsdev.router";

/** One request to ingest for each deployment that is known. */
export function requestDurations(
  { bounds, groups }: RequestMetricsState,
  tenants: ReadonlyMap<string, DeploymentTenant>,
  nowMs = Date.now(),
): { tenant: Tenant; body: Buffer }[] {
  return groups.flatMap(({ group, startedAt, points }) => {
    const of = tenants.get(group);
    if (!of) return [];
    const { tenant, service } = of;
    const resource = {
      "service.name": service,
      "tsdev.project": tenant.project,
      "tsdev.environment": tenant.environment,
      "tsdev.deployment": group,
      // An app may send the same metric of its own: with this they can be told apart.
      "tsdev.measured_by": "router",
    };
    const series = {
      ...{ name: requestDuration, unit: "s", description: "Duration of HTTP requests, measured by the router." },
      ...({ kind: "histogram", bounds } as const),
      points: points.map((point) => ({ ...point, value: 0 })),
    };
    const scopes = [{ name: scopeName, version: "", series: [series] }];
    const body = metricsRequest(resource, scopes, { startMs: startedAt, nowMs });
    return body === undefined ? [] : [{ tenant, body: Buffer.from(body) }];
  });
}
