// Deployer: carries a deployment from queued to live, one idempotent step after the other.
import type { Kysely } from "kysely";
import { type ErrorShape, TsdevError } from "../../sdk/errors.ts";
import type { BuildLogs } from "../builds/build-log.ts";
import type { Release } from "../builds/release.ts";
import type { Releases } from "../builds/releases.ts";
import type { AppDatabases } from "../databases/app-databases.ts";
import { type Place, placeOf } from "../projects/place.ts";
import type { ProjectRow } from "../projects/projects.ts";
import type { Variables } from "../projects/variables.ts";
import type { Queue } from "../queue/queue.ts";
import type { InstanceGroup, Runtime } from "../runtime/runtime.ts";
import type { Redactor } from "../secrets/redactor.ts";
import { diskError } from "../store/private-file.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import { type DeploymentRow, type Deployments, deploymentQueue } from "./deployments.ts";
import { instanceEnvironment } from "./instance-environment.ts";

/** How long a live app may take to be healthy again after a start, beyond a limit of its own. */
const bringBackMs = 60_000;

export interface DeployerParts {
  db: Kysely<DatabaseSchema>;
  deployments: Deployments;
  releases: Releases;
  logs: BuildLogs;
  runtime: Runtime;
  databases: AppDatabases;
  variables: Variables;
  redactor: Redactor;
  /** Where instances send telemetry, and the token that says whose it is. */
  otlp: (scope: { organizationId: string; project: string; environment: string }) => {
    endpoint: string;
    token: string;
  };
  registerUrl: string;
  compileCache: string;
  host: (project: string, environment: string, service: string) => string;
}

/**
 * Invariants, each holding after a kill at any line:
 * 1. The row's status is behind what was done, never ahead: `live` is written after the router was switched.
 * 2. Every step may run again: a built release is found, running instances are kept, switching twice is switching once.
 * 3. At most one deployment of an environment is live; the old one becomes superseded in the same transaction.
 * 4. What was live stays live until the new one is healthy.
 */
export class Deployer {
  readonly #parts: DeployerParts;

  constructor(parts: DeployerParts) {
    this.#parts = parts;
  }

  /** Does one deployment; called by the queue's worker, again after a crash. */
  async run(id: string, stop: AbortSignal): Promise<void> {
    const { db, deployments, logs } = this.#parts;
    const row = await db.selectFrom("deployments").selectAll().where("id", "=", id).executeTakeFirst();
    if (!row || !["queued", "building", "starting"].includes(row.status)) return;
    const tracked = deployments.track(id);
    const signal = AbortSignal.any([stop, tracked.signal]);
    try {
      const place = await placeOf(this.#parts.db, row);
      const release = await this.#build(row, place.project, signal);
      await this.#start(row, place, release, signal);
    } catch (thrown) {
      // the control plane is stopping: the job stays and is done after the next start
      if (stop.aborted) throw thrown;
      const error = diskError(thrown);
      // whatever the canceling broke off, it is no failure
      if (error.code === "canceled" || tracked.signal.aborted) return;
      // the reason quotes the last lines of a build or of an instance
      await this.#fail(id, this.#parts.redactor.redactDeep(error.toJSON()));
      await logs.write(id, "system", `failed: ${error.message}\nfix: ${error.fix}`);
    } finally {
      tracked.done();
    }
  }

  /** What an instance group of this deployment is; also used to bring a live one back after a restart. */
  async group(row: DeploymentRow, place: Place, release: Release): Promise<InstanceGroup> {
    const { databases, variables, otlp, registerUrl, compileCache, host, redactor } = this.#parts;
    const scope = {
      organizationId: row.organization_id,
      project: place.project.name,
      environment: place.environment.name,
    };
    const databaseUrl = release.config.database ? (await databases.ensure(await this.#databaseName(place))).url : null;
    const sent = otlp(scope);
    redactor.learn([sent.token, ...(databaseUrl ? [databaseUrl, new URL(databaseUrl).password] : [])]);
    return {
      deploymentId: row.id,
      project: scope.project,
      environment: scope.environment,
      service: release.config.service,
      folder: release.folder,
      start: release.config.start,
      health: release.config.health ?? undefined,
      healthTimeoutMs: release.config.healthTimeoutSeconds && release.config.healthTimeoutSeconds * 1000,
      replicas: place.environment.replicas,
      env: instanceEnvironment({
        variables: await variables.all(place.environment.id),
        config: release.config,
        databaseUrl,
        otlp: sent,
        registerUrl,
        compileCache,
        ...scope,
        deployment: row.id,
        commit: row.commit,
        folder: release.folder,
      }),
      hosts: [host(scope.project, scope.environment, release.config.service)],
    };
  }

  /**
   * Brings the machine to what the store says, after a start: live deployments run and get their traffic,
   * unfinished ones are in the queue. Answers the ids that may keep running.
   */
  async reconcile(): Promise<string[]> {
    const { db, deployments } = this.#parts;
    const rows = await db
      .selectFrom("deployments")
      .selectAll()
      .where("status", "in", ["live", "queued", "building", "starting"])
      .orderBy("created_at")
      .execute();
    await Promise.all(
      rows
        .filter((row) => row.status === "live")
        .map((row) =>
          // one app that cannot be brought back must not keep the others, or the control plane, from starting
          this.#bringBack(row).catch((error: unknown) => {
            console.error(`deployment ${row.id} does not start again: ${TsdevError.from(error).message}`);
          }),
        ),
    );
    await deployments.enqueueUnfinished();
    return rows.map((row) => row.id);
  }

  async #bringBack(row: DeploymentRow): Promise<void> {
    const { releases, runtime } = this.#parts;
    const place = await placeOf(this.#parts.db, row);
    if (place.environment.replicas === 0 || !row.release_id) return;
    const group = await this.group(row, place, await releases.get(row.release_id));
    const started = await runtime.start(group, AbortSignal.timeout(bringBackMs + (group.healthTimeoutMs ?? 0)));
    if (!started.ok) throw new TsdevError(started.error.code, started.error);
    await runtime.switchTo(row.id);
  }

  async #build(row: DeploymentRow, project: ProjectRow, signal: AbortSignal): Promise<Release> {
    const { db, releases, logs } = this.#parts;
    if (row.release_id) return releases.get(row.release_id);
    await this.#advance(row.id, "building", { build_started_at: row.build_started_at ?? new Date() });
    const release = await releases.ensure({
      organizationId: row.organization_id,
      project,
      commit: row.commit,
      log: (stream, text) => logs.write(row.id, stream, text),
      signal,
    });
    await db
      .updateTable("deployments")
      .set({ release_id: release.id, service: release.config.service, build_finished_at: new Date() })
      .where("id", "=", row.id)
      .execute();
    return release;
  }

  async #start(row: DeploymentRow, place: Place, release: Release, signal: AbortSignal): Promise<void> {
    const { db, logs, runtime } = this.#parts;
    await this.#advance(row.id, "starting", {});
    const group = await this.group(row, place, release);
    await logs.write(row.id, "system", `starting ${group.replicas} × ${release.config.start}`);
    const started = await runtime.start(group, signal);
    if (!started.ok) throw new TsdevError(started.error.code, started.error);
    await runtime.switchTo(row.id);
    await db.transaction().execute(async (trx) => {
      const now = new Date();
      await trx
        .updateTable("deployments")
        .set({ status: "superseded", ended_at: now })
        .where("environment_id", "=", row.environment_id)
        .where("status", "=", "live")
        .where("id", "!=", row.id)
        .execute();
      await trx
        .updateTable("deployments")
        .set({ status: "live", live_at: now, reason: null })
        .where("id", "=", row.id)
        .execute();
    });
    await logs.write(
      row.id,
      "system",
      `live at ${this.#parts.host(place.project.name, place.environment.name, release.config.service)}`,
    );
  }

  /** Moves a row on unless it was canceled meanwhile. */
  async #advance(id: string, status: "building" | "starting", also: { build_started_at?: Date }): Promise<void> {
    const result = await this.#parts.db
      .updateTable("deployments")
      .set({ status, ...also })
      .where("id", "=", id)
      .where("status", "in", ["queued", "building", "starting"])
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) {
      throw new TsdevError("canceled", { message: "the deployment was canceled", fix: "push again to deploy" });
    }
  }

  async #fail(id: string, reason: ErrorShape): Promise<void> {
    await this.#parts.db
      .updateTable("deployments")
      .set({ status: "failed", reason: JSON.stringify(reason), ended_at: new Date() })
      .where("id", "=", id)
      .where("status", "in", ["queued", "building", "starting"])
      .execute();
  }

  async #databaseName(place: Place): Promise<string> {
    if (place.environment.database_name) return place.environment.database_name;
    const name = `app_${place.environment.id.slice(4)}`;
    await this.#parts.db
      .updateTable("environments")
      .set({ database_name: name })
      .where("id", "=", place.environment.id)
      .execute();
    return name;
  }
}

/** Starts the worker that carries out deployments. */
export async function workDeployments(deployer: Deployer, queue: Queue): Promise<void> {
  await queue.work<{ deploymentId: string }>(deploymentQueue, (job, signal) =>
    deployer.run(job.data.deploymentId, signal),
  );
}
