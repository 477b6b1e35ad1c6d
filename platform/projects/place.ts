// Place: the project and environment that a row of the store belongs to.
import type { Kysely } from "kysely";
import type { DatabaseSchema } from "../store/schema.ts";
import type { EnvironmentRow, ProjectRow } from "./projects.ts";

export interface Place {
  project: ProjectRow;
  environment: EnvironmentRow;
}

/** For rows that were found within their organization; the keys of the tables hold that both exist. */
export async function placeOf(
  db: Kysely<DatabaseSchema>,
  row: { project_id: string; environment_id: string },
): Promise<Place> {
  const [project, environment] = await Promise.all([
    db.selectFrom("projects").selectAll().where("id", "=", row.project_id).executeTakeFirstOrThrow(),
    db.selectFrom("environments").selectAll().where("id", "=", row.environment_id).executeTakeFirstOrThrow(),
  ]);
  return { project, environment };
}
