// Git hosts: which of them a project's repository is on.
import type { Selectable } from "kysely";
import { TsdevError } from "../../sdk/errors.ts";
import type { ProjectsTable } from "../store/schema.ts";
import type { GitHost } from "./git-host.ts";
import type { GitHubHost } from "./github-host.ts";
import type { LocalGitHost } from "./local-host.ts";

/** What tells a project's Git host. */
export type ProjectOnGit = Pick<Selectable<ProjectsTable>, "git_host" | "organization_id">;

export interface GitHosts {
  readonly local: LocalGitHost;
  /** Null where the platform is not connected to GitHub. */
  readonly github: GitHubHost | null;
  /** The host of a project, the local one blind to other organizations. Throws `invalid_config` where it is not connected. */
  of(project: ProjectOnGit): GitHost;
}

export function gitHosts({ local, github }: { local: LocalGitHost; github: GitHubHost | null }): GitHosts {
  return {
    local,
    github,
    of(project) {
      if (project.git_host === "local") return local.forOrganization(project.organization_id);
      if (github === null) throw notConnected();
      return github;
    },
  };
}

export function notConnected(): TsdevError {
  return new TsdevError("invalid_config", {
    message: "this platform is not connected to GitHub",
    fix: "start it with TSDEV_GITHUB_TOKEN in its environment (docs/how-to/use-github.md), or leave out `repository` for one on this machine",
    path: "repository",
  });
}
