// Regular work: what the platform looks at by itself; pushes it was not told of, deployments left behind, new traces.
import type { Kysely } from "kysely";
import { type Pipeline, suggestionQueue } from "./agents/suggestions/pipeline.ts";
import type { Deployments } from "./platform/deployments/deployments.ts";
import { notConnected } from "./platform/git/git-hosts.ts";
import type { GitHubHost } from "./platform/git/github-host.ts";
import type { LocalGitHost } from "./platform/git/local-host.ts";
import { watchPushes } from "./platform/git/push-watch.ts";
import { type UnrecordedPush, unrecordedPushes } from "./platform/git/unrecorded-pushes.ts";
import type { Projects } from "./platform/projects/projects.ts";
import type { Queue } from "./platform/queue/queue.ts";
import type { DatabaseSchema } from "./platform/store/schema.ts";
import { TsdevError } from "./sdk/errors.ts";

const analysisEveryMs = 60_000;
const unfinishedEveryMs = 15_000;

export interface RegularWorkParts {
  db: Kysely<DatabaseSchema>;
  local: LocalGitHost;
  github: GitHubHost | null;
  deployments: Deployments;
  projects: Projects;
  pipeline: Pipeline;
  queue: Queue;
  /** Ends all of it. */
  signal: AbortSignal;
}

export interface RegularWork {
  /** Looks for pushes to a project on GitHub now instead of at the next turn. */
  lookForPushes(projectId: string): Promise<void>;
  /** Resolves when everything has ended after the signal. */
  done(): Promise<void>;
}

/** Records the pushes that a killed control plane received and did not record, then looks at regular times. */
export async function startRegularWork(parts: RegularWorkParts): Promise<RegularWork> {
  const { db, local, github, deployments, projects, pipeline, queue, signal } = parts;

  async function onFoundPush({ project, ...push }: UnrecordedPush, pushedBy: string): Promise<void> {
    const { organizationId, name } = project;
    await deployments.onPush({ organizationId, project: name, ...push, pushedBy, found: true });
  }

  for (const push of await unrecordedPushes({ host: local, db })) await onFoundPush(push, "found at start");
  const watch =
    github &&
    watchPushes({
      db,
      host: github,
      onPush: (push) => onFoundPush(push, "found on GitHub"),
      onLooked: (projectId) => pipeline.sync(projectId),
      log: (message) => console.error(message),
      signal,
    });
  if (!watch) {
    const lost = await db.selectFrom("projects").select("name").where("git_host", "=", "github").execute();
    for (const { name } of lost) console.error(`nothing new of ${name} is deployed: ${notConnected().message}`);
  }

  /** A look at every environment with something live; what it throws is told and tried again at the next one. */
  async function analyzeEverything(): Promise<void> {
    // a proof measures time, and what it is about was analyzed already
    if ((await queue.depth(suggestionQueue)) > 0) return;
    const rows = await db
      .selectFrom("deployments")
      .innerJoin("environments", "environments.id", "deployments.environment_id")
      .innerJoin("projects", "projects.id", "deployments.project_id")
      .select([
        "projects.name as project",
        "environments.name as environment",
        "deployments.organization_id as organization",
      ])
      .where("deployments.status", "=", "live")
      .execute();
    for (const row of rows) {
      await projects
        .environment(row.organization, row.project, row.environment)
        .then((place) => pipeline.analyze(place))
        .catch((error: unknown) =>
          console.error(`analysis of ${row.project}/${row.environment}: ${TsdevError.from(error).message}`),
        );
    }
  }

  // what these throw (the database is away) is tried again the next time
  const timers = [
    setInterval(
      () => void analyzeEverything().catch((error: unknown) => console.error(TsdevError.from(error).message)),
      analysisEveryMs,
    ),
    setInterval(() => void deployments.enqueueUnfinished().catch(() => undefined), unfinishedEveryMs),
  ];
  for (const timer of timers) timer.unref();
  signal.addEventListener("abort", () => timers.forEach(clearInterval), { once: true });
  return {
    lookForPushes: async (projectId) => void (await watch?.look(projectId)),
    done: async () => void (await watch?.done),
  };
}
