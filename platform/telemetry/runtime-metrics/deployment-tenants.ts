// Whose deployments these are, for telemetry that the platform measures of them.
import type { Kysely } from "kysely";
import type { DatabaseSchema } from "../../store/schema.ts";
import type { Tenant } from "../ingest/tables.ts";

export interface DeploymentTenant {
  tenant: Tenant;
  service: string;
}

/** By deployment id; one that is not known is left out. */
export async function deploymentTenants(
  db: Kysely<DatabaseSchema>,
  ids: Iterable<string>,
): Promise<Map<string, DeploymentTenant>> {
  const asked = [...new Set(ids)];
  if (asked.length === 0) return new Map();
  const rows = await db
    .selectFrom("deployments")
    .innerJoin("environments", "environments.id", "deployments.environment_id")
    .innerJoin("projects", "projects.id", "deployments.project_id")
    .select([
      "deployments.id",
      "deployments.organization_id as organizationId",
      "deployments.service",
      "projects.name as project",
      "environments.name as environment",
    ])
    .where("deployments.id", "in", asked)
    .execute();
  return new Map(rows.map(({ id, service, ...tenant }): [string, DeploymentTenant] => [id, { tenant, service }]));
}
