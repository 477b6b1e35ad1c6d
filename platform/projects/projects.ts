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
  /** Finds `owner/name` on GitHub, spelled as GitHub does. Throws `invalid_config` where the platform is not connected. */
  findRepository: (repository: string) => Promise<{ location: string; defaultBranch: string }>;
  /** Where to push, for people. */
  gitUrl: (project: ProjectRow) => string;
  /** Address of an environment, once something is live there. */
  environmentUrl: (project: string, environment: string, service: string) => string;
}

export class Projects {
  readonly #parts: ProjectsParts;

  constructor(parts: ProjectsParts) {
    this.#parts = parts;
  }

  /**
   * Makes a project with its production environment, or returns the one of that name. Its repository is made here, or is
   * the one named on GitHub. Throws `conflict` where the project of that name has another repository.
   */
  async create(
    organizationId: string,
    input: {
      name: string;
      defaultBranch?: string | undefined;
      repository?: string | undefined;
      settings?: ProjectSettings | undefined;
    },
  ): Promise<{ project: Project; created: boolean }> {
    const known = await this.#find(organizationId, input.name);
    if (known) refuseOtherRepository(known, input.repository);
    if (known?.git_host === "github") return { project: await this.#describe(known), created: false };
    const id = known?.id ?? newId("prj");
    const place = await this.#repository(id, input);
    const created = await this.#parts.db.transaction().execute(async (trx) => {
      const row = await trx
        .insertInto("projects")
        .values({
          id,
          organization_id: organizationId,
          name: input.name,
          default_branch: place.branch,
          git_host: place.host,
          git_location: place.location,
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
          branch: place.branch,
          replicas: 1,
        })
        .execute();
      return true;
    });
    const row = await this.row(organizationId, input.name);
    // another call may have been faster, with another repository
    refuseOtherRepository(row, input.repository);
    return { project: await this.#describe(row), created };
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
    const row = await this.#find(organizationId, name);
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

  async #find(organizationId: string, name: string): Promise<ProjectRow | undefined> {
    return this.#parts.db
      .selectFrom("projects")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .where("name", "=", name)
      .executeTakeFirst();
  }

  async #repository(
    id: string,
    input: { defaultBranch?: string | undefined; repository?: string | undefined },
  ): Promise<{ host: "local" | "github"; location: string; branch: string }> {
    if (input.repository !== undefined) {
      const { location, defaultBranch } = await this.#parts.findRepository(input.repository);
      return { host: "github", location, branch: input.defaultBranch ?? defaultBranch };
    }
    const branch = input.defaultBranch ?? "main";
    const { location } = await this.#parts.createRepository({ id, defaultBranch: branch });
    return { host: "local", location, branch };
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
      git: this.#parts.gitUrl(row),
      gitHost: row.git_host as Project["gitHost"],
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

/** Without a repository the project of that name is meant, wherever it is. GitHub's names are the same in any case. */
function refuseOtherRepository(row: ProjectRow, repository: string | undefined): void {
  if (repository === undefined) return;
  if (row.git_host === "github" && row.git_location.toLowerCase() === repository.toLowerCase()) return;
  const where = row.git_host === "github" ? `${row.git_location} on GitHub` : "on this platform";
  throw new TsdevError("conflict", {
    message: `project "${row.name}" is there already, and its repository is ${where}`,
    fix: "choose another name for the project of this repository",
    path: "name",
  });
}
