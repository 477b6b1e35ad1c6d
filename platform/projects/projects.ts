// Projects: made, found and listed; each has a repository on a Git host and environments that follow branches.
import type { Kysely, Selectable } from "kysely";
import { TsdevError } from "../../sdk/errors.ts";
import { newId } from "../store/id.ts";
import type { DatabaseSchema, EnvironmentsTable, ProjectsTable } from "../store/schema.ts";
import { type Project, ProjectSettings } from "./project.ts";

export type ProjectRow = Selectable<ProjectsTable>;
export type EnvironmentRow = Selectable<EnvironmentsTable>;

export interface ProjectsParts {
  db: Kysely<DatabaseSchema>;
  /** Makes the repository on the local Git host; safe to repeat. */
  createRepository: (project: { id: string; defaultBranch: string }) => Promise<{ location: string }>;
  /** Where to push, for people. */
  gitUrl: (project: string) => string;
  /** Address of an environment, once something is live there. */
  environmentUrl: (project: string, environment: string, service: string) => string;
}

export class Projects {
  readonly #parts: ProjectsParts;

  constructor(parts: ProjectsParts) {
    this.#parts = parts;
  }

  /** Makes a project with its repository and production environment, or returns the one of that name. */
  async create(
    organizationId: string,
    input: { name: string; defaultBranch: string; settings?: ProjectSettings | undefined },
  ): Promise<{ project: Project; created: boolean }> {
    const { db } = this.#parts;
    const known = await db
      .selectFrom("projects")
      .select("id")
      .where("organization_id", "=", organizationId)
      .where("name", "=", input.name)
      .executeTakeFirst();
    const id = known?.id ?? newId("prj");
    const { location } = await this.#parts.createRepository({ id, defaultBranch: input.defaultBranch });
    const created = await db.transaction().execute(async (trx) => {
      const row = await trx
        .insertInto("projects")
        .values({
          id,
          organization_id: organizationId,
          name: input.name,
          default_branch: input.defaultBranch,
          git_host: "local",
          git_location: location,
          settings: JSON.stringify(input.settings ?? {}),
        })
        .onConflict((conflict) => conflict.columns(["organization_id", "name"]).doNothing())
        .returning("id")
        .executeTakeFirst();
      if (!row) return false;
      await trx
        .insertInto("environments")
        .values({
          id: newId("env"),
          organization_id: organizationId,
          project_id: row.id,
          name: "production",
          branch: input.defaultBranch,
          replicas: 1,
        })
        .execute();
      return true;
    });
    return { project: await this.get(organizationId, input.name), created };
  }

  async list(organizationId: string): Promise<Project[]> {
    const rows = await this.#parts.db
      .selectFrom("projects")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .orderBy("name")
      .execute();
    return Promise.all(rows.map((row) => this.#describe(row)));
  }

  async get(organizationId: string, name: string): Promise<Project> {
    return this.#describe(await this.row(organizationId, name));
  }

  /** The row of a project of this organization; throws `not_found`. */
  async row(organizationId: string, name: string): Promise<ProjectRow> {
    const row = await this.#parts.db
      .selectFrom("projects")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .where("name", "=", name)
      .executeTakeFirst();
    if (row) return row;
    throw new TsdevError("not_found", {
      message: `there is no project "${name}"`,
      fix: "list them with `projects.list`, or run `npx tsdev deploy` in the app's folder to make one",
      path: "project",
    });
  }

  /** A project's environment; throws `not_found` naming those that exist. */
  async environment(
    organizationId: string,
    name: string,
    environment: string,
  ): Promise<{ project: ProjectRow; environment: EnvironmentRow }> {
    const project = await this.row(organizationId, name);
    const rows = await this.#parts.db
      .selectFrom("environments")
      .selectAll()
      .where("project_id", "=", project.id)
      .execute();
    const found = rows.find((row) => row.name === environment);
    if (found) return { project, environment: found };
    throw new TsdevError("not_found", {
      message: `project "${name}" has no environment "${environment}"`,
      fix: `use one of: ${rows.map((row) => row.name).join(", ")}`,
      path: "environment",
    });
  }

  /** The environments that follow a branch. */
  async followers(projectId: string, branch: string): Promise<EnvironmentRow[]> {
    return this.#parts.db
      .selectFrom("environments")
      .selectAll()
      .where("project_id", "=", projectId)
      .where("branch", "=", branch)
      .execute();
  }

  async #describe(row: ProjectRow): Promise<Project> {
    const { db } = this.#parts;
    const environments = await db
      .selectFrom("environments")
      .leftJoin("deployments", (join) =>
        join.onRef("deployments.environment_id", "=", "environments.id").on("deployments.status", "=", "live"),
      )
      .select([
        "environments.name",
        "environments.branch",
        "environments.replicas",
        "deployments.id as live",
        "deployments.service",
      ])
      .where("environments.project_id", "=", row.id)
      .orderBy("environments.name")
      .execute();
    return {
      id: row.id,
      name: row.name,
      defaultBranch: row.default_branch,
      git: this.#parts.gitUrl(row.name),
      createdAt: row.created_at.toISOString(),
      settings: ProjectSettings.parse(row.settings),
      environments: environments.map((environment) => ({
        name: environment.name,
        branch: environment.branch,
        replicas: environment.replicas,
        url: this.#parts.environmentUrl(row.name, environment.name, environment.service ?? row.name),
        liveDeployment: environment.live,
      })),
    };
  }
}
