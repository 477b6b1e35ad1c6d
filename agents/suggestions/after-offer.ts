// After the offer: follows a suggestion's pull request, and says after the merge whether the change held.
import type { Kysely } from "kysely";
import type { Deployments } from "../../platform/deployments/deployments.ts";
import type { GitHosts } from "../../platform/git/git-hosts.ts";
import { placeOf } from "../../platform/projects/place.ts";
import type { DatabaseSchema } from "../../platform/store/schema.ts";
import type { TelemetryReader } from "../../platform/telemetry/reader.ts";
import type { Progress } from "../../sdk/operation.ts";
import { analyzeDeployment } from "./deployment-analysis.ts";
import { verdictComment } from "./pull-request-text.ts";
import type { SuggestionRow, Suggestions } from "./suggestions.ts";
import { verdictFor } from "./verdict.ts";

export interface AfterOfferParts {
  db: Kysely<DatabaseSchema>;
  suggestions: Suggestions;
  deployments: Deployments;
  git: GitHosts;
  reader: TelemetryReader;
  onProgress: (suggestionId: string, event: Progress) => void;
}

/** Both steps are safe to repeat: the host says what became of a pull request, and the verdict's comment has a key. */
export class AfterOffer {
  readonly #parts: AfterOfferParts;

  constructor(parts: AfterOfferParts) {
    this.#parts = parts;
  }

  /** Brings a pull request that was merged or closed on the host into its suggestion. */
  async follow(row: SuggestionRow): Promise<void> {
    const { suggestions, git } = this.#parts;
    const { pullRequest } = await suggestions.describe(row);
    const { project } = await placeOf(this.#parts.db, row);
    const now = pullRequest && (await git.of(project).pullRequest(project.git_location, pullRequest.number));
    if (!pullRequest || !now || now.state === "open") return;
    const changed = { ...pullRequest, state: now.state };
    if (now.state === "merged") await suggestions.change(row.id, { state: "merged", pullRequest: changed });
    else
      await suggestions.change(row.id, {
        state: "dismissed",
        pullRequest: changed,
        dismissedReason: "its pull request was closed",
      });
  }

  /** Measures a merged change on the deployment that holds it; waits while there is too little traffic to say. */
  async judge(row: SuggestionRow): Promise<void> {
    const { suggestions, deployments, reader, db } = this.#parts;
    const place = await placeOf(this.#parts.db, row);
    const git = this.#parts.git.of(place.project);
    const { finding, pullRequest } = await suggestions.describe(row);
    const live = await deployments.live(row.environment_id);
    const before = await db
      .selectFrom("deployments")
      .select("id")
      .where("environment_id", "=", row.environment_id)
      .where("commit", "=", row.base_commit)
      .where("live_at", "is not", null)
      .orderBy("live_at")
      .executeTakeFirst();
    const merged = pullRequest && (await git.pullRequest(place.project.git_location, pullRequest.number));
    if (!live?.live_at || !before || live.commit === row.base_commit || !pullRequest || !merged?.mergeCommit) return;
    if (!(await git.contains(place.project.git_location, live.commit, merged.mergeCommit))) return;
    const scope = {
      organizationId: row.organization_id,
      project: place.project.name,
      environment: place.environment.name,
    };
    const again = await analyzeDeployment(reader, place, live);
    const stillFound = again.findings.some((one) => one.fingerprint === row.fingerprint);
    const verdict = await verdictFor(reader, scope, finding, { before: before.id, after: live.id, stillFound });
    if (!verdict) return;
    await git.comment(place.project.git_location, pullRequest.number, {
      key: `verdict-${row.id}`,
      body: verdictComment(verdict),
    });
    await suggestions.change(row.id, { verdict, state: verdict.result === "held" ? "held" : "did-not-hold" });
    this.#parts.onProgress(row.id, { message: verdict.result });
  }
}
