// Deployments: asked for by pushes, merges, rollbacks and people; listed, followed, canceled. The deployer carries them out.
import { type Kysely, type Selectable, sql, type Transaction } from "kysely";
import { type ErrorShape, TsdevError } from "../../sdk/errors.ts";
import type { EnvironmentRow, Projects } from "../projects/projects.ts";
import type { Queue } from "../queue/queue.ts";
import type { InstanceStatus } from "../runtime/runtime.ts";
import { newId } from "../store/id.ts";
import type { DatabaseSchema, DeploymentsTable } from "../store/schema.ts";
import type { Deployment, DeploymentStatus } from "./deployment.ts";

export const deploymentQueue = "deployments";
export type DeploymentRow = Selectable<DeploymentsTable>;

/** States that nothing leaves by itself any more. */
const ended: DeploymentStatus[] = ["superseded", "failed", "canceled"];
const shortestPrefix = 8;

export interface Push {
  organizationId: string;
  project: string;
  branch: string;
  before: string | null;
  after: string;
  pushedBy: string;
  /** The first line of the commit's message. */
  message: string;
  cause: "push" | "merge";
  /** Told by somebody who may tell it again long afterwards, as a merge asked for twice: known wherever it stands in the record. */
  mayRepeat?: boolean;
  /** Found by looking at the branch: it counts only while `before` is still the latest recorded, for the look may be old. */
  found?: boolean;
}

export class Deployments {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #queue: Queue;
  readonly #projects: Projects;
  readonly #instances: (deploymentId: string) => Promise<InstanceStatus[]>;
  readonly #url: (project: string, environment: string, service: string) => string;
  readonly #running = new Map<string, AbortController>();

  constructor(parts: {
    db: Kysely<DatabaseSchema>;
    queue: Queue;
    projects: Projects;
    instances: (deploymentId: string) => Promise<InstanceStatus[]>;
    url: (project: string, environment: string, service: string) => string;
  }) {
    this.#db = parts.db;
    this.#queue = parts.queue;
    this.#projects = parts.projects;
    this.#instances = parts.instances;
    this.#url = parts.url;
  }

  /**
   * Records a push and asks for one deployment in each environment that follows the branch. The same push told twice
   * changes nothing; older ones still waiting for the environment are canceled. A branch forced back to an earlier commit
   * is a new push: only the latest one recorded of the branch counts as the same.
   */
  async onPush(push: Push): Promise<DeploymentRow[]> {
    const project = await this.#projects.row(push.organizationId, push.project);
    const environments = await this.#projects.followers(project.id, push.branch);
    const made = await this.#db.transaction().execute(async (trx) => {
      // One at a time, so that the latest push is one and the times below follow the order of recording.
      await trx.selectFrom("projects").select("id").where("id", "=", project.id).forNoKeyUpdate().execute();
      if (await isRecorded(trx, project.id, push)) return [];
      const recorded = await trx
        .insertInto("pushes")
        .values({
          id: newId("psh"),
          organization_id: push.organizationId,
          project_id: project.id,
          branch: push.branch,
          before_commit: push.before,
          after_commit: push.after,
          pushed_by: push.pushedBy,
          received_at: sql<Date>`clock_timestamp()`,
        })
        .returning("id")
        .executeTakeFirstOrThrow();
      const rows: DeploymentRow[] = [];
      for (const environment of environments) {
        rows.push(
          await trx
            .insertInto("deployments")
            .values({
              id: newId("dep"),
              organization_id: push.organizationId,
              project_id: project.id,
              environment_id: environment.id,
              service: project.name,
              commit: push.after,
              commit_message: push.message,
              cause: push.cause,
              push_id: recorded.id,
              status: "queued",
              created_at: sql<Date>`clock_timestamp()`,
            })
            .returningAll()
            .executeTakeFirstOrThrow(),
        );
      }
      return rows;
    });
    for (const row of made) {
      await this.#cancelOlder(row);
      await this.enqueue(row.id);
    }
    return made;
  }

  /**
   * Sees to it that every deployment that is not settled is in the queue, oldest first. After a start, and now and then:
   * a job that failed each time (a full disk, a database that was away) is not lost with it.
   */
  async enqueueUnfinished(): Promise<void> {
    const rows = await this.#db
      .selectFrom("deployments")
      .select("id")
      .where("status", "in", ["queued", "building", "starting"])
      .orderBy("created_at")
      .execute();
    for (const { id } of rows) await this.enqueue(id);
  }

  /** Puts the wake-up for a deployment into the queue; safe to repeat. */
  async enqueue(id: string): Promise<void> {
    await this.#queue.add(deploymentQueue, { id, data: { deploymentId: id } });
  }

  /** Makes the release of an earlier deployment live again; by default the one before the live one. */
  async rollback(
    organizationId: string,
    project: string,
    environment: string,
    target: string | undefined,
  ): Promise<DeploymentRow> {
    const place = await this.#projects.environment(organizationId, project, environment);
    const history = await this.#db
      .selectFrom("deployments")
      .selectAll()
      .where("environment_id", "=", place.environment.id)
      .where("release_id", "is not", null)
      .where("live_at", "is not", null)
      .orderBy("live_at", "desc")
      .execute();
    const live = history.find((row) => row.status === "live");
    const chosen = target
      ? history.find((row) => row.id === target || (target.length >= shortestPrefix && row.id.startsWith(target)))
      : history.find((row) => row.status !== "live" && row.release_id !== live?.release_id);
    if (!chosen?.release_id) {
      throw new TsdevError(target ? "not_found" : "conflict", {
        message: target
          ? `${target} is no deployment of ${project}/${environment} that was ever live`
          : "there is no earlier release to go back to",
        fix: "see `npx tsdev deployments` for those that can be rolled back to",
        path: "deployment",
      });
    }
    return this.#ask(place.environment, {
      service: chosen.service,
      commit: chosen.commit,
      commit_message: chosen.commit_message,
      cause: "rollback",
      rollback_of: chosen.id,
      release_id: chosen.release_id,
    });
  }

  /** Deploys the commit that is live once more, or the newest one asked for, with the variables as they are now. */
  async redeploy(organizationId: string, project: string, environment: string): Promise<DeploymentRow> {
    const place = await this.#projects.environment(organizationId, project, environment);
    const newest = await this.#newest(place.environment.id);
    const latest = (await this.live(place.environment.id)) ?? newest;
    if (!latest) {
      throw new TsdevError("conflict", {
        message: `nothing was pushed to ${project} yet`,
        fix: `push the branch ${place.environment.branch}, or run \`npx tsdev deploy\` in the app's folder`,
      });
    }
    return this.#ask(place.environment, {
      service: latest.service,
      commit: latest.commit,
      commit_message: latest.commit_message,
      cause: "manual",
    });
  }

  /** Deploys a commit that is in the repository already; one that is on its way is not asked for twice. */
  async deploy(
    organizationId: string,
    project: string,
    environment: string,
    head: { commit: string; message: string },
  ): Promise<DeploymentRow> {
    const place = await this.#projects.environment(organizationId, project, environment);
    const newest = await this.#newest(place.environment.id);
    if (newest?.commit === head.commit && ["queued", "building", "starting"].includes(newest.status)) return newest;
    return this.#ask(place.environment, {
      service: newest?.service ?? place.project.name,
      commit: head.commit,
      commit_message: head.message,
      cause: "manual",
    });
  }

  /** Stops a deployment that is not live yet. */
  async cancel(organizationId: string, id: string): Promise<DeploymentRow> {
    const row = await this.row(organizationId, id);
    if (!["queued", "building"].includes(row.status)) {
      throw new TsdevError("conflict", {
        message: `deployment ${id} is ${row.status} and cannot be canceled`,
        fix: row.status === "live" ? "use `npx tsdev rollback` to go back" : "push again to deploy once more",
      });
    }
    await this.#end(id, "canceled", { code: "canceled", message: "canceled by a person", fix: "push again to deploy" });
    return this.row(organizationId, id);
  }

  async list(organizationId: string, project: string, environment: string, limit: number): Promise<Deployment[]> {
    const place = await this.#projects.environment(organizationId, project, environment);
    const rows = await this.#db
      .selectFrom("deployments")
      .selectAll()
      .where("environment_id", "=", place.environment.id)
      .orderBy("created_at", "desc")
      .limit(limit)
      .execute();
    return Promise.all(rows.map((row) => this.describe(row)));
  }

  /** The row of a deployment of this organization; throws `not_found`. */
  async row(organizationId: string, id: string): Promise<DeploymentRow> {
    const row = await this.#db
      .selectFrom("deployments")
      .selectAll()
      .where("organization_id", "=", organizationId)
      .where("id", "=", id)
      .executeTakeFirst();
    if (row) return row;
    throw new TsdevError("not_found", {
      message: `there is no deployment ${id}`,
      fix: "see `npx tsdev deployments`",
      path: "deployment",
    });
  }

  /** The live deployment of an environment, or null. */
  async live(environmentId: string): Promise<DeploymentRow | null> {
    const row = await this.#db
      .selectFrom("deployments")
      .selectAll()
      .where("environment_id", "=", environmentId)
      .where("status", "=", "live")
      .executeTakeFirst();
    return row ?? null;
  }

  /** True when nothing will change about the deployment by itself any more. */
  async isSettled(id: string): Promise<boolean> {
    const row = await this.#db.selectFrom("deployments").select("status").where("id", "=", id).executeTakeFirst();
    return row === undefined || row.status === "live" || ended.includes(row.status as DeploymentStatus);
  }

  async describe(row: DeploymentRow): Promise<Deployment> {
    const names = await this.#db
      .selectFrom("environments")
      .innerJoin("projects", "projects.id", "environments.project_id")
      .select(["environments.name as environment", "projects.name as project"])
      .where("environments.id", "=", row.environment_id)
      .executeTakeFirstOrThrow();
    const between = (from: Date | null, to: Date | null) =>
      from && to ? (to.getTime() - from.getTime()) / 1000 : null;
    return {
      id: row.id,
      project: names.project,
      environment: names.environment,
      service: row.service,
      commit: row.commit,
      commitMessage: row.commit_message,
      cause: row.cause as Deployment["cause"],
      status: row.status as DeploymentStatus,
      reason: row.reason,
      release: row.release_id,
      url: this.#url(names.project, names.environment, row.service),
      createdAt: row.created_at.toISOString(),
      liveAt: row.live_at?.toISOString() ?? null,
      endedAt: row.ended_at?.toISOString() ?? null,
      pushToHealthySeconds: between(row.created_at, row.live_at),
      phases: {
        queued: between(row.created_at, row.build_started_at),
        build: between(row.build_started_at, row.build_finished_at),
        start: between(row.build_finished_at, row.live_at),
      },
      instances: (await this.#instances(row.id)).map(({ id, state, pid, startedAt }) => ({
        id,
        state,
        pid,
        startedAt,
      })),
    };
  }

  /** A signal for the worker of a deployment; aborted when it is canceled. */
  track(id: string): { signal: AbortSignal; done: () => void } {
    const controller = new AbortController();
    this.#running.set(id, controller);
    return { signal: controller.signal, done: () => void this.#running.delete(id) };
  }

  /** Stores what is asked for, then the wake-up; after a kill in between, the next start makes the wake-up. */
  async #ask(
    environment: EnvironmentRow,
    wanted: Pick<DeploymentRow, "service" | "commit" | "commit_message" | "cause"> &
      Partial<Pick<DeploymentRow, "rollback_of" | "release_id">>,
  ): Promise<DeploymentRow> {
    const row = await this.#db
      .insertInto("deployments")
      .values({
        id: newId("dep"),
        organization_id: environment.organization_id,
        project_id: environment.project_id,
        environment_id: environment.id,
        status: "queued",
        ...wanted,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    await this.enqueue(row.id);
    return row;
  }

  async #newest(environmentId: string): Promise<DeploymentRow | undefined> {
    return this.#db
      .selectFrom("deployments")
      .selectAll()
      .where("environment_id", "=", environmentId)
      .orderBy("created_at", "desc")
      .executeTakeFirst();
  }

  async #cancelOlder(newer: DeploymentRow): Promise<void> {
    const older = await this.#db
      .selectFrom("deployments")
      .select("id")
      .where("environment_id", "=", newer.environment_id)
      .where("status", "in", ["queued", "building"])
      .where("cause", "in", ["push", "merge"])
      // compared in the database: a Date of JavaScript has milliseconds only
      .where("created_at", "<", (query) =>
        query.selectFrom("deployments").select("created_at").where("id", "=", newer.id),
      )
      .execute();
    for (const { id } of older) {
      await this.#end(id, "canceled", {
        code: "canceled",
        message: `a newer push (${newer.commit.slice(0, 7)}) took its place`,
        fix: "nothing to do; the newer one is deployed",
      });
    }
  }

  async #end(id: string, status: "canceled", reason: ErrorShape): Promise<void> {
    await this.#db
      .updateTable("deployments")
      .set({ status, reason: JSON.stringify(reason), ended_at: new Date() })
      .where("id", "=", id)
      .where("status", "in", ["queued", "building"])
      .execute();
    this.#running.get(id)?.abort();
  }
}

/**
 * True when the push is the latest recorded one of its branch or, for a teller that repeats itself, any of them; also when
 * it was found by a look that another push has overtaken.
 */
async function isRecorded(trx: Transaction<DatabaseSchema>, projectId: string, push: Push): Promise<boolean> {
  const ofBranch = trx
    .selectFrom("pushes")
    .select(["before_commit", "after_commit"])
    .where("project_id", "=", projectId)
    .where("branch", "=", push.branch);
  const latest = await ofBranch.orderBy("received_at", "desc").limit(1).executeTakeFirst();
  if (latest?.after_commit === push.after) return true;
  if (push.found && (latest?.after_commit ?? null) !== push.before) return true;
  if (!push.mayRepeat) return false;
  const earlier = await ofBranch.where("after_commit", "=", push.after).limit(1).executeTakeFirst();
  return earlier !== undefined;
}
