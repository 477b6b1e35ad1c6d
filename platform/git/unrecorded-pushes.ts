// Pushes that a Git host received and the store does not know: what a kill -9 between the two left behind on the local one, and
// everything on a host that does not tell us.
import type { Kysely } from "kysely";
import { TsdevError } from "../../sdk/errors.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import type { GitHost } from "./git-host.ts";
import type { ProjectOfRepository } from "./local-pull-requests.ts";

export interface UnrecordedPush {
  project: ProjectOfRepository & { location: string };
  branch: string;
  /** The commit that the store last knew of the branch. */
  before: string | null;
  after: string;
  /** The first line of the commit's message. */
  message: string;
  cause: "push" | "merge";
}

/**
 * Every branch of the host's repositories (or of one project's) whose head is not the last recorded push of it. Several
 * pushes of one branch are one: only the last matters. Branches under `tsdev/` are made by us and not deployed, so they are
 * not looked at; on a host that is asked over the network, only those that an environment follows are.
 */
export async function unrecordedPushes({
  host,
  db,
  projectId,
}: {
  host: GitHost;
  db: Kysely<DatabaseSchema>;
  projectId?: string;
}): Promise<UnrecordedPush[]> {
  let query = db
    .selectFrom("projects")
    .select(["id", "organization_id", "name", "git_location"])
    .where("git_host", "=", host.kind)
    .orderBy("created_at");
  if (projectId !== undefined) query = query.where("id", "=", projectId);
  const found: UnrecordedPush[] = [];
  for (const row of await query.execute()) {
    const recorded = await db
      .selectFrom("pushes")
      .distinctOn("branch")
      .select(["branch", "after_commit"])
      .where("organization_id", "=", row.organization_id)
      .where("project_id", "=", row.id)
      .orderBy("branch")
      .orderBy("received_at", "desc")
      .execute();
    const known = new Map(recorded.map((push) => [push.branch, push.after_commit]));
    const heads = host.kind === "local" ? allHeads(host, row.git_location) : followedHeads(host, db, row);
    for (const { name, commit } of await heads) {
      if (name.startsWith("tsdev/") || known.get(name) === commit) continue;
      const message = (await host.describe(row.git_location, commit))?.subject ?? "";
      found.push({
        project: { id: row.id, organizationId: row.organization_id, name: row.name, location: row.git_location },
        branch: name,
        before: known.get(name) ?? null,
        after: commit,
        message,
        cause: (await isMerge(host, row.git_location, commit, message)) ? "merge" : "push",
      });
    }
  }
  return found;
}

interface Head {
  name: string;
  commit: string;
}

async function allHeads(host: GitHost, location: string): Promise<Head[]> {
  // A project whose repository was not made yet (we were killed in between) has nothing to find.
  return await host.branches(location).catch((error: unknown) => {
    if (TsdevError.is(error) && error.code === "not_found") return [];
    throw error;
  });
}

async function followedHeads(
  host: GitHost,
  db: Kysely<DatabaseSchema>,
  project: { id: string; git_location: string },
): Promise<Head[]> {
  const followed = await db
    .selectFrom("environments")
    .select("branch")
    .distinct()
    .where("project_id", "=", project.id)
    .execute();
  const heads: Head[] = [];
  for (const { branch } of followed) {
    const commit = await host.head(project.git_location, branch);
    if (commit !== null) heads.push({ name: branch, commit });
  }
  return heads;
}

/** A merge commit by its message, or what GitHub makes of a pull request that is squashed. */
async function isMerge(host: GitHost, location: string, commit: string, message: string): Promise<boolean> {
  if (message.startsWith("Merge pull request #")) return true;
  const squashed = / \(#(\d{1,9})\)$/.exec(message);
  if (host.kind === "local" || !squashed) return false;
  return (await host.pullRequest(location, Number(squashed[1])))?.mergeCommit === commit;
}
