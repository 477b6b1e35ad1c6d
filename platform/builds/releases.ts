// Releases: builds a commit into an immutable folder, once; the same commit is the same release.
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Kysely } from "kysely";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import type { GitHosts } from "../git/git-hosts.ts";
import type { ProjectRow } from "../projects/projects.ts";
import { newId } from "../store/id.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import { readAppConfig } from "./app-config.ts";
import type { BuildCommands } from "./build-commands.ts";
import { linkDependencies, ownDependencies } from "./dependencies.ts";
import { type Detected, detect, scriptCommand } from "./detect.ts";
import { type Release, ReleaseConfig } from "./release.ts";

/** Beside the builds' logs, the folders that builds work in. */
const workFolder = "work";
/** Written into the folder as the last thing before it gets its final name. */
const markerFile = ".tsdev-release.json";
const Marker = z.object({ config: ReleaseConfig, lockfileDigest: z.string() });

export interface BuildRequest {
  organizationId: string;
  project: Pick<ProjectRow, "id" | "name" | "organization_id" | "git_host" | "git_location">;
  commit: string;
  log: (stream: "stdout" | "stderr" | "system", text: string) => Promise<void>;
  signal: AbortSignal;
}

/**
 * Invariants:
 * 1. A folder under `releases/` is complete: it is renamed there after everything in it is written.
 * 2. A row is made after the folder; a folder without a row (killed in between) is taken as it is.
 * 3. Nothing in a release folder is changed afterwards.
 */
export class Releases {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #git: GitHosts;
  readonly #directory: string;
  readonly #commands: BuildCommands;

  /** `directory` is the data directory. */
  constructor(parts: { db: Kysely<DatabaseSchema>; git: GitHosts; directory: string; commands: BuildCommands }) {
    this.#db = parts.db;
    this.#git = parts.git;
    this.#directory = parts.directory;
    this.#commands = parts.commands;
  }

  /** Removes what builds of a killed control plane left; call it before the first build, when their processes are ended. */
  async removeUnfinished(): Promise<void> {
    await rm(join(this.#directory, "builds", workFolder), { recursive: true, force: true });
  }

  /** The release with this id; throws `not_found`. */
  async get(id: string): Promise<Release> {
    const row = await this.#db.selectFrom("releases").selectAll().where("id", "=", id).executeTakeFirst();
    if (!row) throw new TsdevError("not_found", { message: `no release ${id}`, fix: "see `npx tsdev deployments`" });
    return {
      id: row.id,
      commit: row.commit,
      folder: join(this.#directory, row.folder),
      config: ReleaseConfig.parse(row.config),
    };
  }

  /** The commit's release, building it where it does not exist. Throws `not_deployable`, `build_failed`, `invalid_config`, `canceled`. */
  async ensure(request: BuildRequest): Promise<Release> {
    const { project, commit } = request;
    const known = await this.#db
      .selectFrom("releases")
      .select("id")
      .where("project_id", "=", project.id)
      .where("commit", "=", commit)
      .executeTakeFirst();
    if (known) {
      await request.log("system", `release of ${commit.slice(0, 7)} is already built`);
      return this.get(known.id);
    }
    const folder = join(this.#directory, "releases", project.id, commit);
    const marker = (await readMarker(folder)) ?? (await this.#build(request, folder));
    const row = await this.#db
      .insertInto("releases")
      .values({
        id: newId("rel"),
        organization_id: request.organizationId,
        project_id: project.id,
        service: marker.config.service,
        commit,
        folder: relative(this.#directory, folder),
        config: JSON.stringify(marker.config),
        lockfile_digest: marker.lockfileDigest,
      })
      .onConflict((conflict) => conflict.columns(["project_id", "commit"]).doUpdateSet({ commit }))
      .returning("id")
      .executeTakeFirstOrThrow();
    return this.get(row.id);
  }

  async #build(request: BuildRequest, folder: string): Promise<z.infer<typeof Marker>> {
    const { project, commit, log, signal } = request;
    const work = join(this.#directory, "builds", workFolder, `${commit.slice(0, 12)}-${newId("rel").slice(4, 12)}`);
    await mkdir(work, { recursive: true });
    try {
      await log("system", `checking out ${commit.slice(0, 7)} of ${project.name}`);
      await this.#git.of(project).checkout(project.git_location, commit, work);
      const detected = await detect(work);
      await linkDependencies({
        folder: work,
        detected,
        cache: join(this.#directory, "cache"),
        owner: request.organizationId,
        commands: this.#commands,
        log,
        signal,
      });
      const config = await this.#configOf(work, detected, request);
      const build = config.build ?? (detected.packageJson.scripts.build ? scriptCommand(detected, "build") : null);
      if (build) {
        await ownDependencies(work);
        await log("system", `$ ${build}`);
        await this.#commands.shell(build, { folder: work, log, signal, what: "the build script" });
      }
      const marker = { config: config.release, lockfileDigest: digest(detected.lockfile?.text ?? "") };
      await writeFile(join(work, markerFile), JSON.stringify(marker));
      await mkdir(join(folder, ".."), { recursive: true });
      await rename(work, folder).catch(async (cause: NodeJS.ErrnoException) => {
        // another build of the same commit was faster; its folder is as good
        if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause;
      });
      return marker;
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  async #configOf(
    work: string,
    detected: Detected,
    request: BuildRequest,
  ): Promise<{ build: string | null; release: ReleaseConfig }> {
    const config = await readAppConfig(work, detected.packageJson, this.#commands, request.signal);
    const start = config.start ?? detected.packageJson.scripts.start;
    if (!start) {
      throw new TsdevError("not_deployable", {
        message: "package.json has no start script, and tsdev.config.ts names no start command",
        fix: 'add "start" to the scripts, for example "node src/main.js", and push again',
      });
    }
    const service = (config.name ?? detected.packageJson.name ?? request.project.name)
      .replace(/^@[^/]+\//, "")
      .toLowerCase();
    return {
      build: config.build ?? null,
      release: {
        service:
          service
            .replace(/[^a-z0-9-]+/g, "-")
            .replace(/^-+|-+$/g, "")
            .slice(0, 40) || "app",
        start,
        health: config.health ?? null,
        healthTimeoutSeconds: config.healthTimeoutSeconds,
        database: config.database ?? null,
        trace: config.trace ?? true,
        replay: { exclude: config.replay?.exclude ?? [], normalise: config.replay?.normalise ?? [] },
      },
    };
  }
}

async function readMarker(folder: string): Promise<z.infer<typeof Marker> | null> {
  const text = await readFile(join(folder, markerFile), "utf8").catch(() => null);
  return text === null ? null : Marker.parse(JSON.parse(text));
}

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
