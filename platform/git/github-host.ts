// The GitHub Git host: the same port over GitHub's API. GitHub is the only memory; nothing of it is kept here.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { nanoid } from "nanoid";
import type { Octokit } from "octokit";
import { TsdevError } from "../../sdk/errors.ts";
import { checkoutTree } from "./bare-repository.ts";
import { gitCommand } from "./git-command.ts";
import type { GitHost, PullRequest, PullRequestComment, Repository } from "./git-host.ts";
import { branchName, commitHash, filePath, githubLocation, ourIdentity } from "./git-names.ts";
import { type GitHubCredentials, gitHubClient, inOurWords, orNull, statusOf } from "./github-client.ts";
import {
  commitOf,
  commitOver,
  download,
  fileAt,
  headOfBranch,
  isAncestor,
  moveBranch,
  type RepositoryName,
} from "./github-objects.ts";
import { gitAddress, publicApi } from "./github-settings.ts";
import { closedForGood, noBranch, noSuchPullRequest } from "./pull-request-errors.ts";

export interface GitHubHostOptions {
  credentials: GitHubCredentials;
  /** Default `https://api.github.com`. */
  baseUrl?: string;
  /** A folder of the host's own, for fetched commits. */
  directory: string;
  /**
   * Where git fetches from. Default: beside the API, for github.com and Enterprise. `null`: there is no git there, and
   * checkouts download file by file over the API.
   */
  gitUrl?: ((location: string) => string) | null;
  /** Default true: writes are spaced out as GitHub asks. */
  throttle?: boolean;
}

type Pull = Awaited<ReturnType<Octokit["rest"]["pulls"]["get"]>>["data"];
type ListedPull = Awaited<ReturnType<Octokit["rest"]["pulls"]["list"]>>["data"][number];

const attempts = 10;

export interface GitHubHost extends GitHost {
  readonly kind: "github";
  /** The repository as GitHub spells it, with its default branch. Throws `not_found` where it is not, or not to be seen. */
  repository(location: string): Promise<Repository>;
}

/** Opens the host; it connects when it is first asked something. */
export async function openGitHubHost(options: GitHubHostOptions): Promise<GitHubHost> {
  const baseUrl = options.baseUrl ?? publicApi;
  const client = await gitHubClient({
    credentials: options.credentials,
    baseUrl,
    throttle: options.throttle ?? true,
  });
  const { octokit } = client;
  const gitUrl = options.gitUrl === undefined ? (location: string) => gitAddress(baseUrl, location) : options.gitUrl;
  const oneAtATime = serial();

  const on = <T>(location: string, ask: (name: RepositoryName) => Promise<T>): Promise<T> =>
    inOurWords(location, async () => await ask(githubLocation(location)));

  async function pull(name: RepositoryName, number: number): Promise<Pull> {
    const answer = await orNull(octokit.rest.pulls.get({ ...name, pull_number: number }));
    if (answer === null) throw noSuchPullRequest(`${name.owner}/${name.repo}`, number);
    return answer.data;
  }

  async function pullsOf(name: RepositoryName, head: string | undefined, state: "open" | "closed" | "all") {
    return await octokit.paginate(octokit.rest.pulls.list, {
      ...name,
      state,
      head: head === undefined ? undefined : `${name.owner}:${head}`,
      sort: "created",
      direction: "desc",
      per_page: 100,
    });
  }

  /** The two commits that a pull request is between. */
  async function ends(name: RepositoryName, data: Pull | ListedPull): Promise<{ base: string; head: string }> {
    if (data.state !== "open") return { base: data.base.sha, head: data.head.sha };
    return { base: data.base.ref, head: (await headOfBranch(octokit, name, data.head.ref)) ?? data.head.sha };
  }

  async function compared(name: RepositoryName, data: Pull | ListedPull) {
    const { base, head } = await ends(name, data);
    const answer = await orNull(
      octokit.rest.repos.compareCommitsWithBasehead({ ...name, basehead: `${base}...${head}` }),
    );
    return answer?.data ?? null;
  }

  async function shown(name: RepositoryName, data: Pull | ListedPull): Promise<PullRequest> {
    const commits = (await compared(name, data))?.commits ?? [];
    const state = stateOf(data);
    return {
      number: data.number,
      url: data.html_url,
      title: data.title,
      body: data.body ?? "",
      head: data.head.ref,
      base: data.base.ref,
      draft: data.draft ?? false,
      state,
      // Of an open one this would be a trial merge.
      mergeCommit: state === "merged" ? data.merge_commit_sha : null,
      touchedByOthers: commits.some((entry) => entry.commit.author?.email !== ourIdentity.email),
    };
  }

  return {
    kind: "github",

    repository: (location) =>
      on(location, async (name) => {
        const { data } = await octokit.rest.repos.get({ ...name });
        return { location: data.full_name, defaultBranch: data.default_branch };
      }),

    head: (location, branch) => on(location, (name) => headOfBranch(octokit, name, branchName(branch))),

    branches: (location) =>
      on(location, async (name) => {
        const all = await octokit.paginate(octokit.rest.repos.listBranches, { ...name, per_page: 100 });
        return all.map((branch) => ({ name: branch.name, commit: branch.commit.sha }));
      }),

    commit: (location, change) =>
      on(location, async (name) => {
        branchName(change.branch);
        for (const file of change.files) filePath(file.path);
        const fresh = await commitOver(octokit, name, commitHash(change.base), change);
        for (let attempt = 0; attempt < attempts; attempt++) {
          const head = await headOfBranch(octokit, name, change.branch);
          if (head !== null && (await isAncestor(octokit, name, fresh.commit, head))) return fresh.commit;
          if (head === null || head === change.base) {
            if (await moveBranch(octokit, name, change.branch, head, fresh.commit)) return fresh.commit;
            continue;
          }
          const next = await commitOver(octokit, name, head, change);
          if (!next.changed) return head;
          if (await moveBranch(octokit, name, change.branch, head, next.commit)) return next.commit;
        }
        throw new TsdevError("conflict", {
          message: `${change.branch} was moved by others each time we tried`,
          fix: "ask again in a moment",
        });
      }),

    contains: (location, commit, ancestor) =>
      on(location, (name) => isAncestor(octokit, name, commitHash(ancestor), commitHash(commit))),

    describe: (location, commit) =>
      on(location, async (name) => {
        const data = await commitOf(octokit, name, commitHash(commit));
        if (data === null) return null;
        return {
          subject: data.message.split("\n", 1)[0] ?? "",
          author: data.author.email,
          parents: data.parents.map((parent) => parent.sha),
        };
      }),

    file: (location, commit, path) => on(location, (name) => fileAt(octokit, name, commitHash(commit), filePath(path))),

    openPullRequest: (location, request) =>
      on(location, (name) =>
        // GitHub refuses a second one for a branch; asking one at a time spares the refusal.
        oneAtATime(`${location} ${request.head}`, async () => {
          branchName(request.head);
          branchName(request.base);
          const known = await pullsOf(name, request.head, "all");
          const open = known.find((data) => data.state === "open");
          if (open) return await shown(name, open);
          const last = known[0];
          if (last && stateOf(last) === "closed") throw closedForGood(last.number, request.head);
          const head = await headOfBranch(octokit, name, request.head);
          if (head === null && last) return await shown(name, last);
          if (head === null) throw noBranch(request.head);
          if ((await headOfBranch(octokit, name, request.base)) === null) throw noBranch(request.base);
          if (await isAncestor(octokit, name, head, request.base)) {
            if (last) return await shown(name, last);
            throw new TsdevError("git_rejected", {
              message: `${request.head} has no commits that ${request.base} lacks`,
              fix: "commit the change to the branch first",
            });
          }
          try {
            const { data } = await octokit.rest.pulls.create({ ...name, ...request });
            return await shown(name, data);
          } catch (error) {
            if (statusOf(error) !== 422) throw error;
            const [made] = await pullsOf(name, request.head, "open");
            if (!made) throw error;
            return await shown(name, made);
          }
        }),
      ),

    pullRequest: (location, number) =>
      on(location, async (name) => {
        const answer = await orNull(octokit.rest.pulls.get({ ...name, pull_number: number }));
        return answer === null ? null : await shown(name, answer.data);
      }),

    pullRequests: (location, filter = {}) =>
      on(location, async (name) => {
        const asked = filter.state === undefined ? "all" : filter.state === "open" ? "open" : "closed";
        const all = await pullsOf(name, filter.head, asked);
        const wanted = all.filter((data) => filter.state === undefined || stateOf(data) === filter.state);
        wanted.sort((a, b) => b.number - a.number);
        const answer: PullRequest[] = [];
        for (const data of wanted) answer.push(await shown(name, data));
        return answer;
      }),

    updatePullRequest: (location, number, change) =>
      on(location, async (name) => {
        const data = await pull(name, number);
        if (change.draft !== undefined) await setDraft(octokit, name, data, change.draft);
        if (change.title !== undefined || change.body !== undefined) {
          await octokit.rest.pulls.update({ ...name, pull_number: number, title: change.title, body: change.body });
        }
        return await shown(name, await pull(name, number));
      }),

    diff: (location, number) =>
      on(location, async (name) => {
        const files = (await compared(name, await pull(name, number)))?.files ?? [];
        return files.map(unified).join("");
      }),

    comment: (location, number, comment) =>
      on(location, (name) =>
        oneAtATime(`${location} #${number}`, async () => {
          const marker = `<!-- tsdev:${encodeURIComponent(comment.key)} -->`;
          await pull(name, number);
          const all = await octokit.paginate(octokit.rest.issues.listComments, {
            ...name,
            issue_number: number,
            per_page: 100,
          });
          const there = all.find((candidate) => candidate.body?.includes(marker));
          if (there) return shownComment(there);
          const body = `${comment.body}\n\n${marker}`;
          const { data } = await octokit.rest.issues.createComment({
            ...name,
            issue_number: number,
            body,
            // A comment that was made although the answer got lost must not be made again without another look.
            request: { retries: 0 },
          });
          return shownComment(data);
        }),
      ),

    comments: (location, number) =>
      on(location, async (name) => {
        await pull(name, number);
        const all = await octokit.paginate(octokit.rest.issues.listComments, {
          ...name,
          issue_number: number,
          per_page: 100,
        });
        return all.map(shownComment);
      }),

    merge: (location, number) =>
      on(location, async (name) => {
        for (let attempt = 0; attempt < attempts; attempt++) {
          const data = await pull(name, number);
          const state = stateOf(data);
          if (state === "merged" && data.merge_commit_sha) return data.merge_commit_sha;
          if (state === "closed") {
            throw new TsdevError("conflict", {
              message: `pull request #${number} was closed without a merge`,
              fix: "open a new one from another branch",
            });
          }
          if (data.draft) await setDraft(octokit, name, data, false);
          try {
            const merged = await octokit.rest.pulls.merge({
              ...name,
              pull_number: number,
              merge_method: "merge",
              sha: data.head.sha,
            });
            return merged.data.sha;
          } catch (error) {
            const status = statusOf(error);
            // 409: the head moved since we looked.
            if (status === 409) continue;
            if (status !== 405 && status !== 422) throw error;
            const now = await pull(name, number);
            if (stateOf(now) === "merged" && now.merge_commit_sha) return now.merge_commit_sha;
            throw new TsdevError("conflict", {
              message: `GitHub does not merge pull request #${number}: ${(error as Error).message.slice(0, 300)}`,
              fix: `merge ${data.base.ref} into ${data.head.ref}, resolve what conflicts, push, and merge again`,
              cause: error,
            });
          }
        }
        throw new TsdevError("conflict", {
          message: "the pull request was moved by others each time we tried",
          fix: "merge again in a moment",
        });
      }),

    close: (location, number) =>
      on(location, async (name) => {
        if ((await pull(name, number)).state !== "open") return;
        await octokit.rest.pulls.update({ ...name, pull_number: number, state: "closed" });
      }),

    deleteBranch: (location, branch) =>
      on(location, async (name) => {
        if ((await headOfBranch(octokit, name, branchName(branch))) === null) return;
        await octokit.rest.git.deleteRef({ ...name, ref: `heads/${branch}` }).catch(async (error: unknown) => {
          if ((await headOfBranch(octokit, name, branch)) !== null) throw error;
        });
      }),

    checkout: (location, commit, folder) =>
      on(location, async (name) => {
        commitHash(commit);
        const remote = gitUrl?.(location) ?? null;
        if (remote === null) return await download(octokit, name, commit, folder);
        const git = gitCommand(options.directory);
        const bare = join(git.scratch, `fetch-${nanoid()}`);
        await mkdir(bare);
        try {
          await git.run(["init", "--bare", "--quiet", bare]);
          const credentials = Buffer.from(`x-access-token:${await client.token()}`).toString("base64");
          await git.run(
            [`--git-dir=${bare}`, "fetch", "--quiet", "--depth=1", "--no-tags", "--", remote, commit],
            // In the environment: an argument would be in every process list, a file on the disk.
            {
              config: {
                // The header would go along to wherever it is redirected.
                "http.followRedirects": "false",
                "http.extraHeader": `Authorization: Basic ${credentials}`,
                "protocol.allow": "never",
                "protocol.https.allow": "always",
                "protocol.http.allow": "always",
              },
            },
          );
          await checkoutTree(git, bare, commit, folder);
        } finally {
          await rm(bare, { recursive: true, force: true });
        }
      }),
  };
}

function stateOf(data: Pull | ListedPull): PullRequest["state"] {
  if (data.state === "open") return "open";
  return data.merged_at ? "merged" : "closed";
}

/** Only GraphQL can turn a draft into a ready one; servers that speak just REST take it as a field. */
async function setDraft(octokit: Octokit, name: RepositoryName, data: Pull, draft: boolean): Promise<void> {
  if ((data.draft ?? false) === draft) return;
  const mutation = draft ? "convertPullRequestToDraft" : "markPullRequestReadyForReview";
  try {
    await octokit.graphql(
      `mutation ($id: ID!) { ${mutation}(input: { pullRequestId: $id }) { pullRequest { isDraft } } }`,
      { id: data.node_id },
    );
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    await octokit.request("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", {
      ...name,
      pull_number: data.number,
      draft,
    });
  }
}

/** One file of a comparison as `git diff` prints it. */
function unified(file: { filename: string; status: string; previous_filename?: string; patch?: string }): string {
  const before = file.previous_filename ?? file.filename;
  const head = `diff --git a/${before} b/${file.filename}\n`;
  const from = file.status === "added" ? "/dev/null" : `a/${before}`;
  const to = file.status === "removed" ? "/dev/null" : `b/${file.filename}`;
  if (file.status === "renamed" && !file.patch) {
    return `${head}rename from ${before}\nrename to ${file.filename}\n`;
  }
  // GitHub leaves out the patch of a binary or very large file.
  if (!file.patch) return `${head}Binary files ${from} and ${to} differ\n`;
  const kind = file.status === "added" ? "new file mode 100644\n" : "";
  return `${head}${kind}--- ${from}\n+++ ${to}\n${file.patch}${file.patch.endsWith("\n") ? "" : "\n"}`;
}

function shownComment(data: {
  id: number;
  body?: string;
  created_at: string;
  user: { login: string } | null;
}): PullRequestComment {
  return {
    id: String(data.id),
    author: data.user?.login ?? "ghost",
    body: (data.body ?? "").replace(/\n*<!-- tsdev:[^ ]* -->$/, ""),
    createdAt: data.created_at,
  };
}

/** Runs what has the same key one after another. */
function serial(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const mine = (last.get(key) ?? Promise.resolve()).then(work, work);
    last.set(key, mine);
    const forget = () => {
      if (last.get(key) === mine) last.delete(key);
    };
    mine.then(forget, forget);
    return mine;
  };
}
