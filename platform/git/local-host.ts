// The local Git host: bare repositories on disk for the commits, Postgres for pull requests and their comments.
//
// Who owns what: git owns branches and commits, and it is the truth about whether something is merged; the row of a pull
// request follows it. Invariants, each held through kill -9 at any moment:
//   1. A branch moves only by compare-and-swap from where it was read.
//   2. A pull request is merged when its base contains its head; a row that does not say so yet is put right on the next look.
//   3. `refs/pull/<number>/head` keeps the last head of a pull request whose branch is gone.
//   4. Every row is found through the project that owns the location, and by its organization.
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Kysely } from "kysely";
import { nanoid } from "nanoid";
import { TsdevError } from "../../sdk/errors.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import { type BareRepository, bareRepository } from "./bare-repository.ts";
import { checkGitVersion, type GitCommand, gitCommand } from "./git-command.ts";
import type { GitHost, PullRequest, Repository } from "./git-host.ts";
import { branchName, commitHash, localLocation, ourIdentity } from "./git-names.ts";
import { comparison, endedOrNew, found, headOf, merge, type Place, settled } from "./local-merge.ts";
import { localPullRequests, type ProjectOfRepository, type PullRequestRow } from "./local-pull-requests.ts";
import { removeStaleLocks, removeStalePacks, removeStaleScratch } from "./stale-files.ts";

export interface LocalGitHost extends GitHost {
  readonly kind: "local";
  /**
   * Makes a repository, or finds it made. Its location is the given id, which must differ between all projects of all
   * organizations. Needs no row of the project yet.
   */
  createRepository(project: { id: string; defaultBranch: string }): Promise<Repository>;
  /** The same host, blind to every other organization. */
  forOrganization(organizationId: string): LocalGitHost;
  /** The organization's project of that name, if its repository is here. */
  projectNamed(organizationId: string, name: string): Promise<(ProjectOfRepository & { location: string }) | null>;
  /** Folder of a repository, for the smart-HTTP face. */
  repositoryPath(location: string): string;
  /** The folder of all repositories and of the hooks beside them. */
  readonly directory: string;
  readonly git: GitCommand;
}

export interface LocalGitHostOptions {
  /** A folder of the host's own. */
  directory: string;
  db: Kysely<DatabaseSchema>;
  /** The dashboard's address, asked for each time: the port may be taken late. */
  baseUrl: () => string;
}

/** Opens the host; throws where git is missing or too old. */
export async function openLocalGitHost(options: LocalGitHostOptions): Promise<LocalGitHost> {
  const repositories = join(options.directory, "repositories");
  await mkdir(repositories, { recursive: true, mode: 0o700 });
  const git = gitCommand(options.directory);
  await checkGitVersion(git);
  await removeStaleScratch(git.scratch);
  for (const name of await readdir(repositories)) {
    await removeStaleLocks(join(repositories, name));
    await removeStalePacks(join(repositories, name));
  }
  return localHost({ ...options, git, repositories, organizationId: null });
}

interface Parts extends LocalGitHostOptions {
  git: GitCommand;
  repositories: string;
  organizationId: string | null;
}

function localHost(parts: Parts): LocalGitHost {
  const { db, git, repositories } = parts;

  const repositoryPath = (location: string) => join(repositories, `${localLocation(location)}.git`);

  async function repository(location: string): Promise<BareRepository> {
    const path = repositoryPath(location);
    const there = await stat(join(path, "HEAD")).catch(() => null);
    if (!there) {
      throw new TsdevError("not_found", {
        message: `no repository at ${location}`,
        fix: "create the project first; its repository is made with it",
        path: "location",
      });
    }
    if (parts.organizationId !== null) await project(location);
    return bareRepository(git, path);
  }

  async function project(location: string): Promise<ProjectOfRepository> {
    let query = db
      .selectFrom("projects")
      .select(["id", "organization_id", "name"])
      .where("git_host", "=", "local")
      .where("git_location", "=", localLocation(location));
    if (parts.organizationId !== null) query = query.where("organization_id", "=", parts.organizationId);
    const [row, another] = await query.limit(2).execute();
    if (another) {
      throw new TsdevError("internal", {
        message: `two projects have their repository at ${location}`,
        fix: "give each project a location of its own",
      });
    }
    if (!row) {
      throw new TsdevError("not_found", {
        message: `no project has its repository at ${location}`,
        fix: "create the project first",
        path: "location",
      });
    }
    return { id: row.id, organizationId: row.organization_id, name: row.name };
  }

  async function at(location: string): Promise<Place> {
    const owner = await project(location);
    return { owner, repo: await repository(location), pulls: localPullRequests(db, owner) };
  }

  async function shown(place: Place, row: PullRequestRow): Promise<PullRequest> {
    const compared = await comparison(place, row);
    const authors = compared ? await place.repo.authors(compared.base, compared.head) : [];
    return {
      number: row.number,
      url: `${parts.baseUrl()}/projects/${place.owner.name}/pulls/${row.number}`,
      title: row.title,
      body: row.body,
      head: row.head_branch,
      base: row.base_branch,
      draft: row.draft,
      state: row.state as PullRequest["state"],
      mergeCommit: row.merge_commit,
      touchedByOthers: authors.some((author) => author !== ourIdentity.email),
    };
  }

  return {
    kind: "local",
    git,
    directory: parts.directory,
    repositoryPath,

    async projectNamed(organizationId, name) {
      const row = await db
        .selectFrom("projects")
        .select(["id", "organization_id", "name", "git_location"])
        .where("organization_id", "=", organizationId)
        .where("name", "=", name)
        .where("git_host", "=", "local")
        .executeTakeFirst();
      if (!row) return null;
      return { id: row.id, organizationId: row.organization_id, name: row.name, location: row.git_location };
    },

    forOrganization: (organizationId) => localHost({ ...parts, organizationId }),

    async createRepository({ id, defaultBranch }) {
      const path = repositoryPath(id);
      branchName(defaultBranch);
      if (!(await stat(join(path, "HEAD")).catch(() => null))) {
        // Made beside and renamed, so that a repository is whole or not there.
        const fresh = join(git.scratch, `init-${nanoid()}`);
        await git.run(["init", "--bare", "--quiet", `--initial-branch=${defaultBranch}`, fresh]);
        for (const [key, value] of [
          ["http.receivepack", "true"],
          ["http.getanyfile", "false"],
          ["receive.hideRefs", "refs/pull"],
          ["core.logAllRefUpdates", "true"],
        ] as const) {
          await git.run([`--git-dir=${fresh}`, "config", "--add", key, value]);
        }
        await rename(fresh, path).catch(async (error: NodeJS.ErrnoException) => {
          await rm(fresh, { recursive: true, force: true });
          if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
        });
      }
      return { location: id, defaultBranch };
    },

    async head(location, branch) {
      return await (await repository(location)).resolve(`refs/heads/${branchName(branch)}`);
    },
    async branches(location) {
      return await (await repository(location)).branches();
    },
    async commit(location, change) {
      return await (await repository(location)).commit(change);
    },
    async contains(location, commit, ancestor) {
      return await (await repository(location)).isAncestor(commitHash(ancestor), commitHash(commit));
    },
    async describe(location, commit) {
      return await (await repository(location)).describe(commitHash(commit));
    },
    async file(location, commit, path) {
      return await (await repository(location)).file(commit, path);
    },
    async checkout(location, commit, folder) {
      await (await repository(location)).checkout(commit, folder);
    },
    async deleteBranch(location, branch) {
      const repo = await repository(location);
      const ref = `refs/heads/${branchName(branch)}`;
      if ((await repo.resolve(ref)) === null) return;
      const place = await at(location);
      for (const row of await place.pulls.list({ head: branch, state: "open" })) await headOf(place, row);
      await repo.remove(ref);
    },

    async openPullRequest(location, request) {
      const place = await at(location);
      branchName(request.head);
      branchName(request.base);
      const row = await place.pulls.open(request, async (ended) => await endedOrNew(place, ended, request));
      await headOf(place, row);
      return await shown(place, await settled(place, row));
    },

    async pullRequest(location, number) {
      const place = await at(location);
      const row = await place.pulls.get(number);
      return row ? await shown(place, await settled(place, row)) : null;
    },

    async pullRequests(location, filter = {}) {
      const place = await at(location);
      if (filter.state !== undefined && filter.state !== "open") {
        for (const row of await place.pulls.list({ ...filter, state: "open" })) await settled(place, row);
      }
      const answer: PullRequest[] = [];
      for (const row of await place.pulls.list(filter)) {
        const now = await shown(place, await settled(place, row));
        if (filter.state === undefined || now.state === filter.state) answer.push(now);
      }
      return answer;
    },

    async updatePullRequest(location, number, change) {
      const place = await at(location);
      const fields: typeof change = {};
      if (change.title !== undefined) fields.title = change.title;
      if (change.body !== undefined) fields.body = change.body;
      if (change.draft !== undefined) fields.draft = change.draft;
      return await shown(place, await settled(place, await place.pulls.update(number, fields)));
    },

    async diff(location, number) {
      const place = await at(location);
      const compared = await comparison(place, await found(place, number));
      return compared ? await place.repo.diff(compared.base, compared.head) : "";
    },

    async comment(location, number, comment) {
      return await (await at(location)).pulls.comment(number, comment);
    },
    async comments(location, number) {
      return await (await at(location)).pulls.comments(number);
    },

    async merge(location, number) {
      return await merge(await at(location), number);
    },

    async close(location, number) {
      const place = await at(location);
      const row = await found(place, number);
      if (row.state === "open") await place.pulls.closed(number);
    },
  };
}
