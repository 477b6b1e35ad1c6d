// Operations on pull requests: list, read, merge, close and comment, on whichever Git host the project has.
import { nanoid } from "nanoid";
import { z } from "zod";
import { type Operation, operation, type Principal } from "../../sdk/operation.ts";
import { ProjectName } from "../projects/project.ts";
import type { GitHost } from "./git-host.ts";
import { noSuchPullRequest } from "./pull-request-errors.ts";

/** Where a project's pull requests are. */
export interface ProjectOnHost {
  host: GitHost;
  location: string;
  defaultBranch: string;
}

/** A merge that moved a branch: for whom it deploys, the same as a push. */
export interface MergedPullRequest {
  organizationId: string;
  project: string;
  number: number;
  branch: string;
  before: string | null;
  after: string;
  message: string;
  principal: Principal;
}

export interface PullRequestOperationsParts {
  /** The organization's project of that name with its Git host; throws `not_found`. */
  project(organizationId: string, name: string): Promise<ProjectOnHost>;
  /** Told of every merge, again when a merge is repeated: it must do nothing twice. */
  onMerge(merged: MergedPullRequest): Promise<void>;
}

const Project = z.object({ project: ProjectName });
const OnePullRequest = Project.extend({ number: z.int().min(1) });
const State = z.enum(["open", "merged", "closed"]);

const PullRequest = z.object({
  number: z.int(),
  url: z.string(),
  title: z.string(),
  body: z.string(),
  head: z.string(),
  base: z.string(),
  draft: z.boolean(),
  state: State,
  mergeCommit: z.string().nullable(),
  touchedByOthers: z.boolean().describe("The head branch holds commits that tsdev did not make"),
});

const Comment = z.object({ id: z.string(), author: z.string(), body: z.string(), createdAt: z.string() });

export function pullRequestOperations({ project, onMerge }: PullRequestOperationsParts): Operation[] {
  return [
    operation({
      name: "pulls.list",
      summary: "List the pull requests of a project, newest first",
      input: Project.extend({ state: State.optional(), head: z.string().optional().describe("Only of this branch") }),
      output: z.object({ pullRequests: z.array(PullRequest.omit({ body: true })) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (input, { principal }) => {
        const { host, location } = await project(principal.organizationId, input.project);
        const all = await host.pullRequests(location, { state: input.state, head: input.head });
        return { pullRequests: all.map(({ body: _body, ...rest }) => rest) };
      },
    }),

    operation({
      name: "pulls.get",
      summary: "Show a pull request with its diff and comments",
      input: OnePullRequest,
      output: z.object({ pullRequest: PullRequest, diff: z.string(), comments: z.array(Comment) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (input, { principal }) => {
        const { host, location } = await project(principal.organizationId, input.project);
        const pullRequest = await host.pullRequest(location, input.number);
        if (pullRequest === null) throw noSuchPullRequest(input.project, input.number);
        return {
          pullRequest,
          diff: await host.diff(location, input.number),
          comments: await host.comments(location, input.number),
        };
      },
    }),

    operation({
      name: "pulls.merge",
      summary: "Merge a pull request; a draft is made ready first, and what follows the base branch is deployed",
      input: OnePullRequest,
      output: z.object({ commit: z.string(), pullRequest: PullRequest }),
      access: { role: "developer", effect: "destructive", idempotent: true },
      handler: async (input, { principal }) => {
        const { host, location } = await project(principal.organizationId, input.project);
        const commit = await host.merge(location, input.number);
        const pullRequest = await host.pullRequest(location, input.number);
        if (pullRequest === null) throw noSuchPullRequest(input.project, input.number);
        const described = await host.describe(location, commit);
        await onMerge({
          organizationId: principal.organizationId,
          project: input.project,
          number: input.number,
          branch: pullRequest.base,
          // Read from the commit, not from the branch: a merge repeated after a kill tells the same again.
          before: described?.parents[0] ?? null,
          after: commit,
          message: described?.subject ?? "",
          principal,
        });
        return { commit, pullRequest };
      },
    }),

    operation({
      name: "pulls.close",
      summary: "Close a pull request without merging; tsdev never opens it again",
      input: OnePullRequest,
      output: z.object({ pullRequest: PullRequest }),
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async (input, { principal }) => {
        const { host, location } = await project(principal.organizationId, input.project);
        await host.close(location, input.number);
        const pullRequest = await host.pullRequest(location, input.number);
        if (pullRequest === null) throw noSuchPullRequest(input.project, input.number);
        return { pullRequest };
      },
    }),

    operation({
      name: "pulls.comment",
      summary: "Comment on a pull request",
      input: OnePullRequest.extend({
        body: z.string().min(1).max(65_536),
        key: z.string().min(1).max(100).optional().describe("The same key again changes nothing"),
      }),
      output: z.object({ comment: Comment }),
      access: { role: "developer", effect: "write", idempotent: false },
      handler: async (input, { principal }) => {
        const { host, location } = await project(principal.organizationId, input.project);
        // A person's keys are kept apart from those of our own comments.
        const key = `${principal.id}:${input.key ?? nanoid()}`;
        const comment = { body: input.body, key, author: principal.name };
        return { comment: await host.comment(location, input.number, comment) };
      },
    }),
  ];
}
