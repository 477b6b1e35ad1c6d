// Pipeline: from finding to pull request to verdict, one resumable step after the other.
import { join } from "node:path";
import type { Kysely } from "kysely";
import type { Finding } from "../../analyzers/finding.ts";
import type { Releases } from "../../platform/builds/releases.ts";
import type { AppDatabases } from "../../platform/databases/app-databases.ts";
import type { Deployments } from "../../platform/deployments/deployments.ts";
import type { GitHosts } from "../../platform/git/git-hosts.ts";
import { type Place, placeOf } from "../../platform/projects/place.ts";
import { ProjectSettings } from "../../platform/projects/project.ts";
import type { ProjectRow } from "../../platform/projects/projects.ts";
import type { Variables } from "../../platform/projects/variables.ts";
import type { Queue } from "../../platform/queue/queue.ts";
import type { OwnedProcesses } from "../../platform/runtime/owned-processes.ts";
import { newId } from "../../platform/store/id.ts";
import type { DatabaseSchema } from "../../platform/store/schema.ts";
import type { TelemetryReader } from "../../platform/telemetry/reader.ts";
import { TsdevError } from "../../sdk/errors.ts";
import type { Progress } from "../../sdk/operation.ts";
import { patchFor } from "../patches/index.ts";
import type { Patch } from "../patches/patch.ts";
import type { SqlTypes } from "../patches/sql-types.ts";
import type { Proof } from "../proof/proof.ts";
import { prove } from "../proof/prove.ts";
import type { ProofMeasure } from "../proof/request.ts";
import { AfterOffer } from "./after-offer.ts";
import { analyzeDeployment } from "./deployment-analysis.ts";
import { claim, pullRequestBody, pullRequestTitle } from "./pull-request-text.ts";
import type { ReplayInput } from "./replay-input.ts";
import type { SuggestionState } from "./suggestion.ts";
import type { SuggestionRow, Suggestions } from "./suggestions.ts";

export const suggestionQueue = "suggestions";

const measures: Record<string, ProofMeasure> = {
  "n-plus-one": "round-trips",
  "flaky-step": "failures",
  "parallel-steps": "time",
};
/** The condition of a suggestion that was not declined by a codemod but came to a fault of ours. */
const failed = "failed";
const hourMs = 3600 * 1000;

export interface PipelineParts {
  db: Kysely<DatabaseSchema>;
  suggestions: Suggestions;
  deployments: Deployments;
  releases: Releases;
  databases: AppDatabases;
  variables: Variables;
  git: GitHosts;
  queue: Queue;
  reader: TelemetryReader;
  replayInput: ReplayInput;
  sqlTypes: (databaseUrl: string) => SqlTypes;
  processes: OwnedProcesses;
  adminUrl: string;
  directory: string;
  registerUrl: string;
  nodePath: string;
  links: { trace: (traceId: string) => string; suggestion: (id: string) => string };
  /** Told what the pipeline is doing, for whoever watches. */
  onProgress: (suggestionId: string, event: Progress) => void;
}

/**
 * Invariants, each holding after a kill at any line:
 * 1. What a step made is stored before the next begins; a step that finds its result stored does not run again.
 * 2. The same finding gives the same branch and the same commit, and the host has one open pull request for a branch.
 * 3. Nothing is opened without a proof that is equal and better.
 */
export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #afterOffer: AfterOffer;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#afterOffer = new AfterOffer(parts);
  }

  /** Runs the detectors over what the live deployment did, stores the result, and queues what is to be patched and judged. */
  async analyze(place: Place): Promise<{ findings: number; rejections: number }> {
    const { suggestions, deployments, queue } = this.#parts;
    const live = await deployments.live(place.environment.id);
    if (!live) {
      throw new TsdevError("conflict", {
        message: `nothing is live in ${place.project.name}/${place.environment.name}`,
        fix: "deploy first, then send it some traffic",
      });
    }
    const analysis = await analyzeDeployment(this.#parts.reader, place, live);
    const ids = {
      organizationId: live.organization_id,
      projectId: live.project_id,
      environmentId: live.environment_id,
    };
    const rows = await suggestions.record(ids, { ...analysis, deploymentId: live.id, baseCommit: live.commit });
    const waiting = await suggestions.inStates(place.environment.id, ["pull-request", "merged"]);
    for (const row of [...rows.filter((one) => one.state === "open" || one.state === "snoozed"), ...waiting]) {
      await queue.add(suggestionQueue, { id: row.id, data: { suggestionId: row.id } });
    }
    return { findings: analysis.findings.length, rejections: analysis.rejections.length };
  }

  /** Takes one suggestion as far as it gets; called by the queue's worker, again after a crash. */
  async run(id: string, signal: AbortSignal): Promise<void> {
    const row = await this.#parts.db.selectFrom("suggestions").selectAll().where("id", "=", id).executeTakeFirst();
    if (!row) return;
    if (row.state === "snoozed" && row.snoozed_until && row.snoozed_until.getTime() > Date.now()) return;
    if (row.state === "snoozed") await this.#parts.suggestions.change(id, { state: "open", snoozedUntil: null });
    if (row.state === "open" || row.state === "snoozed") await this.#offerOrSay(row, signal);
    else if (row.state === "pull-request") await this.#afterOffer.follow(row);
    else if (row.state === "merged") await this.#afterOffer.judge(row);
  }

  /** Opens the pull request of a proven suggestion because a person asked for it; the automatic limits do not apply. */
  async apply(row: SuggestionRow): Promise<void> {
    const place = await placeOf(this.#parts.db, row);
    const { patch, proof } = await this.#parts.suggestions.describe(row);
    if (row.pull_request) {
      if (row.state !== "dismissed") return;
      throw new TsdevError("conflict", {
        message: "its pull request was closed, and is not opened again",
        fix: "reopen it on the Git host if it is wanted after all",
      });
    }
    if (!patch || !proof) {
      throw new TsdevError("conflict", {
        message: row.declined ? "no patch could be made for this finding" : "the patch is not proven yet",
        fix: row.declined
          ? "the reason is in `declined`; change the code by hand"
          : "wait for the proof, it is running or queued",
      });
    }
    if (!proof.equal || !proof.better) {
      throw new TsdevError("not_proven", {
        message: proof.equal
          ? "the replay shows no improvement"
          : `the replay shows a difference: ${proof.differences[0] ?? "see the proof"}`,
        fix: "look at the proof; nothing is opened without equality and an improvement",
      });
    }
    // a person may also take back a dismissal
    await this.#open(row, place, patch, proof, ["open", "snoozed", "dismissed"]);
  }

  /** Brings pull requests that were merged or closed on the host into the suggestions of a project. */
  async sync(projectId: string): Promise<void> {
    const rows = await this.#parts.db
      .selectFrom("suggestions")
      .selectAll()
      .where("project_id", "=", projectId)
      .where("state", "=", "pull-request")
      .execute();
    for (const row of rows) await this.#afterOffer.follow(row);
  }

  /** A fault on the way is shown with the suggestion; the next analysis tries again. */
  async #offerOrSay(row: SuggestionRow, signal: AbortSignal): Promise<void> {
    try {
      await this.#offer(row, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { finding } = await this.#parts.suggestions.describe(row);
      const { message, fix } = TsdevError.from(thrown);
      const { detector, fingerprint, file, line } = finding;
      const reason = `patching or proving failed: ${message} (${fix}); it is tried again at the next analysis`;
      await this.#parts.suggestions.change(row.id, {
        declined: { detector, fingerprint, file, line, condition: failed, reason },
      });
      throw thrown;
    }
  }

  async #offer(row: SuggestionRow, signal: AbortSignal): Promise<void> {
    const place = await placeOf(this.#parts.db, row);
    const patch = await this.#patch(row, place);
    if (!patch) return;
    const proof = await this.#prove(row, place, patch, signal);
    if (!proof.equal || !proof.better) return;
    if (await this.#mayOpen(place.project)) await this.#open(row, place, patch, proof, ["open"]);
  }

  async #patch(row: SuggestionRow, place: Place): Promise<Patch | null> {
    const { suggestions, git, databases, sqlTypes } = this.#parts;
    const known = await suggestions.describe(row);
    if (known.declined && known.declined.condition !== failed) return null;
    if (known.declined) await suggestions.change(row.id, { declined: null });
    if (known.patch) return known.patch;
    this.#tell(row, `patching ${known.finding.file ?? known.finding.title}`);
    const read = (path: string) => git.of(place.project).file(place.project.git_location, row.base_commit, path);
    const database = place.environment.database_name;
    const result = await patchFor(known.finding, read, database ? { sqlTypes: sqlTypes(databases.url(database)) } : {});
    if (!result.ok) {
      await suggestions.change(row.id, { declined: result.declined }, { baseCommit: row.base_commit });
      this.#tell(row, `declined: ${result.declined.reason}`);
      return null;
    }
    const kept = await suggestions.change(row.id, { patch: result.patch }, { baseCommit: row.base_commit });
    // a newer version went live meanwhile: the next analysis patches that one
    return kept ? result.patch : null;
  }

  async #prove(row: SuggestionRow, place: Place, patch: Patch, signal: AbortSignal): Promise<Proof> {
    const { suggestions, releases, databases, variables, replayInput, processes, directory } = this.#parts;
    const { finding, proof: known } = await suggestions.describe(row);
    if (known) return known;
    const { project, environment } = place;
    const patchCommit = await this.#commit(row, project, finding, patch);
    await suggestions.change(row.id, { branch: branchOf(row) });
    const log = async (_stream: string, text: string) => this.#tell(row, text);
    const build = (commit: string) =>
      releases.ensure({
        organizationId: row.organization_id,
        project,
        commit,
        log,
        signal,
      });
    const base = await build(row.base_commit);
    const patched = await build(patchCommit);
    const id = newId("prf");
    const replay = await replayInput.collect(place, row.base_commit);
    const proof = await prove(
      {
        id,
        finding,
        base: { commit: row.base_commit, folder: base.folder },
        patch: { commit: patchCommit, folder: patched.folder },
        start: patched.config.start,
        ...(patched.config.health ? { health: patched.config.health } : {}),
        service: patched.config.service,
        databaseUrl: environment.database_name ? databases.url(environment.database_name) : null,
        ...replay,
        env: Object.fromEntries(
          (await variables.all(environment.id)).map(({ name, value, secret }) => [
            name,
            secret ? "proof-placeholder" : value,
          ]),
        ),
        normalise: patched.config.replay.normalise,
        measure: measures[row.detector] ?? "time",
      },
      {
        adminUrl: this.#parts.adminUrl,
        directory: join(directory, "proofs", id),
        registerUrl: this.#parts.registerUrl,
        nodePath: this.#parts.nodePath,
        spawn: (command, args, options) => processes.own(`proof:${id}`).spawn(command, args, options),
        progress: (message, fraction) => this.#tell(row, message, fraction),
        signal,
      },
    );
    await suggestions.change(row.id, { proof });
    this.#tell(row, proof.equal && proof.better ? `proven: ${claim(finding, proof)}` : "not proven: no pull request");
    return proof;
  }

  /** Puts the patch on the finding's branch; the same patch is the same commit. */
  async #commit(row: SuggestionRow, project: ProjectRow, finding: Finding, patch: Patch): Promise<string> {
    return this.#parts.git.of(project).commit(project.git_location, {
      branch: branchOf(row),
      base: row.base_commit,
      message: `${pullRequestTitle(finding)}\n\nFinding ${row.fingerprint} of ${row.detector}.`,
      files: patch.files.map(({ path, after }) => ({ path, content: after })),
    });
  }

  /** `from`: the states in which it may be opened; a person may have dismissed it since the proof began. */
  async #open(row: SuggestionRow, place: Place, patch: Patch, proof: Proof, from: SuggestionState[]): Promise<void> {
    const { suggestions, links } = this.#parts;
    const { state } = await suggestions.row(row.organization_id, row.id);
    if (!from.includes(state as SuggestionState)) return;
    const { project } = place;
    const git = this.#parts.git.of(project);
    const suggestion = await suggestions.describe(row);
    const branch = branchOf(row);
    const earlier = async () => (await git.pullRequests(project.git_location, { head: branch }))[0];
    // Somebody may have tidied away the branch since the proof; with a pull request it is that one's.
    if ((await git.head(project.git_location, branch)) === null && !(await earlier())) {
      await this.#commit(row, project, suggestion.finding, patch);
    }
    const opened = await git
      .openPullRequest(project.git_location, {
        title: pullRequestTitle(suggestion.finding),
        body: pullRequestBody(suggestion, patch, proof, { trace: links.trace, suggestion: links.suggestion(row.id) }),
        head: branch,
        base: place.environment.branch,
        draft: true,
      })
      .catch(async (thrown) => {
        const error = TsdevError.from(thrown);
        if (error.code !== "conflict" || (await earlier())?.state !== "closed") throw error;
        await suggestions.change(row.id, { state: "dismissed", dismissedReason: "its pull request was closed" });
        return null;
      });
    if (!opened) return;
    const pullRequest = { url: opened.url, branch, number: opened.number, state: opened.state };
    const moved = await suggestions.change(
      row.id,
      { state: "pull-request", branch, pullRequest: { ...pullRequest, openedAt: new Date().toISOString() } },
      { states: from },
    );
    const now = await suggestions.row(row.organization_id, row.id);
    if (!moved && now.state === "dismissed") await git.close(project.git_location, opened.number);
    if (!moved) return;
    this.#tell(row, `pull request #${opened.number} is open`);
  }

  async #mayOpen(project: ProjectRow): Promise<boolean> {
    const { pullRequests: limits } = ProjectSettings.parse(project.settings);
    if (!limits.automatic) return false;
    const rows = await this.#parts.db
      .selectFrom("suggestions")
      .select(["state", "pull_request"])
      .where("project_id", "=", project.id)
      .where("pull_request", "is not", null)
      .execute();
    const open = rows.filter((row) => row.state === "pull-request").length;
    const openedAt = (row: { pull_request: unknown }) =>
      Date.parse((row.pull_request as { openedAt?: string } | null)?.openedAt ?? "");
    const lastHour = rows.filter((row) => openedAt(row) > Date.now() - hourMs).length;
    return open < limits.maxOpen && lastHour < limits.perHour;
  }

  #tell(row: SuggestionRow, message: string, fraction?: number): void {
    this.#parts.onProgress(row.id, fraction === undefined ? { message } : { message, fraction });
  }
}

/** One branch for one finding. */
function branchOf(row: SuggestionRow): string {
  return `tsdev/${row.detector}/${row.fingerprint}`;
}

/** Starts the worker that takes suggestions on; proofs measure time, so they run one at a time. */
export async function workSuggestions(pipeline: Pipeline, queue: Queue): Promise<void> {
  await queue.work<{ suggestionId: string }>(suggestionQueue, (job, signal) =>
    pipeline.run(job.data.suggestionId, signal),
  );
}
