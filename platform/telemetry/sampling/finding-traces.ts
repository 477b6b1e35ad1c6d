// The traces that an environment's findings and rejections cite, from the state in Postgres.
import { type Kysely, sql } from "kysely";
import type { DatabaseSchema } from "../../store/schema.ts";
import type { Tenant } from "../ingest/tables.ts";

/** Of what was seen within a day: spans that still come for older traces are too old to wait for. */
export async function findingTraces(
  db: Kysely<DatabaseSchema>,
  { organizationId, project, environment }: Tenant,
): Promise<string[]> {
  const of = sql`FROM environments e JOIN projects p ON p.id = e.project_id
    WHERE p.organization_id = ${organizationId} AND p.name = ${project} AND e.name = ${environment}`;
  const { rows } = await sql<{ id: string }>`
    WITH wanted AS (SELECT e.id ${of})
    SELECT jsonb_array_elements_text(finding::jsonb -> 'traceIds') AS id FROM findings
      WHERE environment_id IN (SELECT id FROM wanted) AND last_seen > now() - interval '1 day'
    UNION
    SELECT jsonb_array_elements_text(rejection::jsonb -> 'traceIds') AS id FROM rejections
      WHERE environment_id IN (SELECT id FROM wanted) AND last_seen > now() - interval '1 day'`.execute(db);
  return rows.map(({ id }) => id);
}
