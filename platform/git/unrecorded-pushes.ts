// Pushes that git received and the store does not know: what a kill -9 between the two left behind, found at start.
import type { Kysely } from "kysely";
import { TsdevError } from "../../sdk/errors.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import type { LocalGitHost } from "./local-host.ts";
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
 * Every branch of the local repositories whose head is not the last recorded push of it. Several lost pushes of one branch
 * are one: only the last matters. Branches under `tsdev/` are made by us and not deployed, so they are not looked at.
 */
export async function unrecordedPushes({
  host,
  db,
}: {
  host: LocalGitHost;
  db: Kysely<DatabaseSchema>;
}): Promise<UnrecordedPush[]> {
  const projects = await db
    .selectFrom("projects")
    .select(["id", "organization_id", "name", "git_location"])
    .where("git_host", "=", "local")
    .orderBy("created_at")
    .execute();
  const found: UnrecordedPush[] = [];
  for (const row of projects) {
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
    // A project whose repository was not made yet (we were killed in between) has nothing to find.
    const branches = await host.branches(row.git_location).catch((error: unknown) => {
      if (TsdevError.is(error) && error.code === "not_found") return [];
      throw error;
    });
    for (const { name, commit } of branches) {
      if (name.startsWith("tsdev/") || known.get(name) === commit) continue;
      const message = (await host.describe(row.git_location, commit))?.subject ?? "";
      found.push({
        project: { id: row.id, organizationId: row.organization_id, name: row.name, location: row.git_location },
        branch: name,
        before: known.get(name) ?? null,
        after: commit,
        message,
        cause: message.startsWith("Merge pull request #") ? "merge" : "push",
      });
    }
  }
  return found;
}
