// Suggestions in the store: made from findings once for a fingerprint, listed, dismissed, snoozed, moved on.
import type { Kysely, Selectable } from "kysely";
import { Finding, type Rejection } from "../../analyzers/finding.ts";
import { newId } from "../../platform/store/id.ts";
import type { DatabaseSchema, SuggestionsTable } from "../../platform/store/schema.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { Declined, Patch } from "../patches/patch.ts";
import { Proof } from "../proof/proof.ts";
import { type Suggestion, type SuggestionState, Verdict } from "./suggestion.ts";

export type SuggestionRow = Selectable<SuggestionsTable>;

/** Where an analysis ran. */
export interface Place {
  organizationId: string;
  projectId: string;
  environmentId: string;
}

/** What may change about a suggestion; JSON columns take their object. */
export interface SuggestionChange {
  state?: SuggestionState;
  branch?: string;
  patch?: Patch;
  declined?: Declined | null;
  proof?: Proof;
  /** `openedAt` counts for the limit an hour. */
  pullRequest?: NonNullable<Suggestion["pullRequest"]> & { openedAt?: string };
  verdict?: Verdict;
  dismissedReason?: string | null;
  snoozedUntil?: Date | null;
}

export class Suggestions {
  readonly #db: Kysely<DatabaseSchema>;

  constructor(db: Kysely<DatabaseSchema>) {
    this.#db = db;
  }

  /** Stores what an analysis concluded. A finding makes its suggestion once; answers the suggestions of the findings. */
  async record(
    place: Place,
    analysis: { findings: Finding[]; rejections: Rejection[]; deploymentId: string; baseCommit: string },
  ): Promise<SuggestionRow[]> {
    const columns = {
      organization_id: place.organizationId,
      project_id: place.projectId,
      environment_id: place.environmentId,
    };
    const now = new Date();
    return this.#db.transaction().execute(async (trx) => {
      const rows: SuggestionRow[] = [];
      for (const finding of analysis.findings) {
        const json = JSON.stringify(finding);
        const { id } = await trx
          .insertInto("findings")
          .values({
            id: newId("fnd"),
            ...columns,
            detector: finding.detector,
            fingerprint: finding.fingerprint,
            deployment_id: analysis.deploymentId,
            finding: json,
          })
          .onConflict((conflict) =>
            conflict
              .columns(["environment_id", "fingerprint"])
              .doUpdateSet({ finding: json, last_seen: now, deployment_id: analysis.deploymentId }),
          )
          .returning("id")
          .executeTakeFirstOrThrow();
        await trx
          .insertInto("suggestions")
          .values({
            id: newId("sug"),
            ...columns,
            finding_id: id,
            detector: finding.detector,
            fingerprint: finding.fingerprint,
            state: "open",
            base_commit: analysis.baseCommit,
          })
          .onConflict((conflict) => conflict.columns(["environment_id", "fingerprint"]).doNothing())
          .execute();
        // what was not begun, or declined for code that has changed since, is looked at again where the app is now
        await trx
          .updateTable("suggestions")
          .set({ base_commit: analysis.baseCommit, declined: null, updated_at: now })
          .where("environment_id", "=", place.environmentId)
          .where("fingerprint", "=", finding.fingerprint)
          .where("base_commit", "!=", analysis.baseCommit)
          .where("state", "in", ["open", "snoozed"])
          .where("patch", "is", null)
          .execute();
        rows.push(
          await trx
            .selectFrom("suggestions")
            .selectAll()
            .where("environment_id", "=", place.environmentId)
            .where("fingerprint", "=", finding.fingerprint)
            .executeTakeFirstOrThrow(),
        );
      }
      for (const rejection of analysis.rejections) {
        const json = JSON.stringify(rejection);
        await trx
          .insertInto("rejections")
          .values({ ...columns, detector: rejection.detector, fingerprint: rejection.fingerprint, rejection: json })
          .onConflict((conflict) =>
            conflict.columns(["environment_id", "fingerprint"]).doUpdateSet({ rejection: json, last_seen: now }),
          )
          .execute();
      }
      // what has a suggestion was found once: refused on less evidence, before or now, it is no rejection
      await trx
        .deleteFrom("rejections")
        .where("environment_id", "=", place.environmentId)
        .where("fingerprint", "in", (known) =>
          known.selectFrom("suggestions").select("fingerprint").where("environment_id", "=", place.environmentId),
        )
        .execute();
      return rows;
    });
  }

  async rejections(environmentId: string): Promise<Rejection[]> {
    const rows = await this.#db
      .selectFrom("rejections")
      .select("rejection")
      .where("environment_id", "=", environmentId)
      .orderBy("detector")
      .orderBy("last_seen", "desc")
      .execute();
    return rows.map((row) => row.rejection as Rejection);
  }

  async inStates(environmentId: string, states: SuggestionState[]): Promise<SuggestionRow[]> {
    return this.#db
      .selectFrom("suggestions")
      .selectAll()
      .where("environment_id", "=", environmentId)
      .where("state", "in", states)
      .orderBy("created_at")
      .execute();
  }

  /** The row of a suggestion of this organization; throws `not_found`. */
  async row(organizationId: string, id: string): Promise<SuggestionRow> {
    const row = await this.#db
      .selectFrom("suggestions")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .where("id", "=", id)
      .executeTakeFirst();
    if (row) return row;
    throw new TsdevError("not_found", {
      message: `there is no suggestion ${id}`,
      fix: "list them with `npx tsdev suggestions`",
      path: "suggestion",
    });
  }

  /** Newest work first, then by impact. */
  async list(
    organizationId: string,
    environmentId: string,
    states: SuggestionState[] | undefined,
  ): Promise<Suggestion[]> {
    let query = this.#db
      .selectFrom("suggestions")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .where("environment_id", "=", environmentId);
    if (states) query = query.where("state", "in", states);
    const described = await Promise.all((await query.execute()).map((row) => this.describe(row)));
    return described.sort((a, b) => b.finding.wastedMs - a.finding.wastedMs);
  }

  /**
   * Changes a suggestion; with `from`, only where it is still in one of these states, and at this commit: what takes long
   * must not undo what a person or a new deployment did meanwhile. Answers whether it did.
   */
  async change(
    id: string,
    change: SuggestionChange,
    from: { states?: SuggestionState[]; baseCommit?: string } = {},
  ): Promise<boolean> {
    const json = (value: object | null | undefined) =>
      value === undefined ? undefined : value === null ? null : JSON.stringify(value);
    let update = this.#db
      .updateTable("suggestions")
      .set({
        state: change.state,
        branch: change.branch,
        patch: json(change.patch),
        declined: json(change.declined),
        proof: json(change.proof),
        pull_request: json(change.pullRequest),
        verdict: json(change.verdict),
        dismissed_reason: change.dismissedReason,
        snoozed_until: change.snoozedUntil,
        updated_at: new Date(),
      })
      .where("id", "=", id);
    if (from.states) update = update.where("state", "in", from.states);
    if (from.baseCommit) update = update.where("base_commit", "=", from.baseCommit);
    return (await update.executeTakeFirst()).numUpdatedRows > 0n;
  }

  async describe(row: SuggestionRow): Promise<Suggestion> {
    const names = await this.#db
      .selectFrom("findings")
      .innerJoin("environments", "environments.id", "findings.environment_id")
      .innerJoin("projects", "projects.id", "findings.project_id")
      .select(["findings.finding", "environments.name as environment", "projects.name as project"])
      .where("findings.id", "=", row.finding_id)
      .executeTakeFirstOrThrow();
    return {
      id: row.id,
      project: names.project,
      environment: names.environment,
      detector: row.detector,
      fingerprint: row.fingerprint,
      state: row.state as SuggestionState,
      finding: Finding.parse(names.finding),
      baseCommit: row.base_commit,
      patch: row.patch && Patch.parse(row.patch),
      declined: row.declined && Declined.parse(row.declined),
      proof: row.proof && Proof.parse(row.proof),
      pullRequest: row.pull_request as Suggestion["pullRequest"],
      verdict: row.verdict && Verdict.parse(row.verdict),
      dismissedReason: row.dismissed_reason,
      snoozedUntil: row.snoozed_until?.toISOString() ?? null,
      createdAt: row.created_at.toISOString(),
      updatedAt: row.updated_at.toISOString(),
    };
  }
}
