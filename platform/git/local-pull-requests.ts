// Pull requests and their comments of one local project, as rows; every query is limited to the project's organization.
import type { Kysely, Selectable } from "kysely";
import { newId } from "../store/id.ts";
import type { DatabaseSchema, PullRequestCommentsTable, PullRequestsTable } from "../store/schema.ts";
import type { PullRequest, PullRequestComment } from "./git-host.ts";
import { ourIdentity } from "./git-names.ts";
import { noSuchPullRequest } from "./pull-request-errors.ts";

export type PullRequestRow = Selectable<PullRequestsTable>;

/** Whose pull requests they are; read from the project's row, never from an input. */
export interface ProjectOfRepository {
  id: string;
  organizationId: string;
  name: string;
}

export interface PullRequestRequest {
  title: string;
  body: string;
  head: string;
  base: string;
  draft: boolean;
}

export interface LocalPullRequests {
  get(number: number): Promise<PullRequestRow | null>;
  list(filter?: { head?: string; state?: PullRequest["state"] }): Promise<PullRequestRow[]>;
  /** The open one of the head branch, else what `decide` answers from the ended ones, else a new one; one at a time per project. */
  open(
    request: PullRequestRequest,
    decide: (ended: PullRequestRow[]) => Promise<PullRequestRow | null>,
  ): Promise<PullRequestRow>;
  update(number: number, change: { title?: string; body?: string; draft?: boolean }): Promise<PullRequestRow>;
  /** Marks it merged unless it is so already. */
  merged(number: number, commit: string): Promise<void>;
  closed(number: number): Promise<void>;
  comment(number: number, comment: { body: string; key: string; author?: string }): Promise<PullRequestComment>;
  comments(number: number): Promise<PullRequestComment[]>;
}

export function localPullRequests(db: Kysely<DatabaseSchema>, project: ProjectOfRepository): LocalPullRequests {
  const ofProject = () =>
    db
      .selectFrom("pull_requests")
      .selectAll()
      .where("organization_id", "=", project.organizationId)
      .where("project_id", "=", project.id);

  async function get(number: number): Promise<PullRequestRow | null> {
    return (await ofProject().where("number", "=", number).executeTakeFirst()) ?? null;
  }

  async function needed(number: number): Promise<PullRequestRow> {
    const row = await get(number);
    if (row) return row;
    throw noSuchPullRequest(project.name, number);
  }

  const change = (number: number) =>
    db
      .updateTable("pull_requests")
      .set({ updated_at: new Date() })
      .where("organization_id", "=", project.organizationId)
      .where("project_id", "=", project.id)
      .where("number", "=", number);

  return {
    get,

    async list(filter = {}) {
      let query = ofProject().orderBy("number", "desc");
      if (filter.head !== undefined) query = query.where("head_branch", "=", filter.head);
      if (filter.state !== undefined) query = query.where("state", "=", filter.state);
      return await query.execute();
    },

    async open(request, decide) {
      return await db.transaction().execute(async (trx) => {
        // The project's row is the lock that gives out numbers: two at once never get the same one, nor two for one branch.
        await trx
          .selectFrom("projects")
          .select("id")
          .where("id", "=", project.id)
          .where("organization_id", "=", project.organizationId)
          .forNoKeyUpdate()
          .executeTakeFirstOrThrow();
        const known = await trx
          .selectFrom("pull_requests")
          .selectAll()
          .where("organization_id", "=", project.organizationId)
          .where("project_id", "=", project.id)
          .where("head_branch", "=", request.head)
          .orderBy("number", "desc")
          .execute();
        const open = known.find((row) => row.state === "open");
        if (open) return open;
        const settled = await decide(known);
        if (settled) return settled;
        const last = await trx
          .selectFrom("pull_requests")
          .select((e) => e.fn.max("number").as("number"))
          .where("organization_id", "=", project.organizationId)
          .where("project_id", "=", project.id)
          .executeTakeFirst();
        return await trx
          .insertInto("pull_requests")
          .values({
            id: newId("pr"),
            organization_id: project.organizationId,
            project_id: project.id,
            number: (last?.number ?? 0) + 1,
            title: request.title,
            body: request.body,
            head_branch: request.head,
            base_branch: request.base,
            draft: request.draft,
            author: ourIdentity.name,
            state: "open",
            merge_commit: null,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
      });
    },

    async update(number, fields) {
      await needed(number);
      return await change(number).set(fields).returningAll().executeTakeFirstOrThrow();
    },

    async merged(number, commit) {
      await change(number)
        .set({ state: "merged", draft: false, merge_commit: commit, closed_at: new Date() })
        .where("state", "!=", "merged")
        .execute();
    },

    async closed(number) {
      await change(number).set({ state: "closed", closed_at: new Date() }).where("state", "=", "open").execute();
    },

    async comment(number, comment) {
      const row = await needed(number);
      await db
        .insertInto("pull_request_comments")
        .values({
          id: newId("cmt"),
          organization_id: project.organizationId,
          pull_request_id: row.id,
          author: comment.author ?? ourIdentity.name,
          body: comment.body,
          dedupe_key: comment.key,
        })
        .onConflict((c) => c.columns(["pull_request_id", "dedupe_key"]).doNothing())
        .execute();
      const stored = await db
        .selectFrom("pull_request_comments")
        .selectAll()
        .where("organization_id", "=", project.organizationId)
        .where("pull_request_id", "=", row.id)
        .where("dedupe_key", "=", comment.key)
        .executeTakeFirstOrThrow();
      return shownComment(stored);
    },

    async comments(number) {
      const row = await needed(number);
      const rows = await db
        .selectFrom("pull_request_comments")
        .selectAll()
        .where("organization_id", "=", project.organizationId)
        .where("pull_request_id", "=", row.id)
        .orderBy("created_at")
        .orderBy("id")
        .execute();
      return rows.map(shownComment);
    },
  };
}

function shownComment(row: Selectable<PullRequestCommentsTable>): PullRequestComment {
  return { id: row.id, author: row.author, body: row.body, createdAt: row.created_at.toISOString() };
}
