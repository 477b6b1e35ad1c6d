// For tests: projects in a store, whose repositories are names and nothing more.
import type { Kysely } from "kysely";
import type { DatabaseSchema } from "../store/schema.ts";
import { Projects } from "./projects.ts";

export function projectsWithoutRepositories(db: Kysely<DatabaseSchema>): Projects {
  return new Projects({
    db,
    createRepository: async ({ id, defaultBranch }) => ({ location: id, defaultBranch }),
    findRepository: async (location) => ({ location, defaultBranch: "main" }),
    gitUrl: (project) => `http://localhost/git/${project.name}.git`,
    environmentUrl: () => "http://localhost",
  });
}
