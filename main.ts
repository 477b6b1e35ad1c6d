// Composes everything: opens the stores, collects the operations, mounts the faces, starts the workers.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Hono } from "hono";
import { postgresSqlTypes } from "./agents/patches/postgres-sql-types.ts";
import { cleanUpProofs } from "./agents/proof/clean-up.ts";
import { Pipeline, workSuggestions } from "./agents/suggestions/pipeline.ts";
import { PipelineProgress } from "./agents/suggestions/pipeline-progress.ts";
import { ReplayInput } from "./agents/suggestions/replay-input.ts";
import { Suggestions } from "./agents/suggestions/suggestions.ts";
import { mcpHttp } from "./mcp/http.ts";
import { allOperations } from "./operations.ts";
import { httpApi } from "./platform/api/http.ts";
import { OperationRegistry } from "./platform/api/registry.ts";
import { BuildCommands } from "./platform/builds/build-commands.ts";
import { buildEnvironment } from "./platform/builds/build-environment.ts";
import { BuildLogs } from "./platform/builds/build-log.ts";
import { packSdk } from "./platform/builds/packed-sdk.ts";
import { Releases } from "./platform/builds/releases.ts";
import { sdkRegistry } from "./platform/builds/sdk-registry.ts";
import { dashboardPages } from "./platform/control-plane/dashboard-pages.ts";
import type { ControlPlaneFile, DataDirectory } from "./platform/control-plane/data-directory.ts";
import { type Listening, listen } from "./platform/control-plane/listen.ts";
import { pumpOutput } from "./platform/control-plane/pump-output.ts";
import { AppDatabases } from "./platform/databases/app-databases.ts";
import { Deployer, workDeployments } from "./platform/deployments/deployer.ts";
import { Deployments } from "./platform/deployments/deployments.ts";
import { gitHosts, notConnected } from "./platform/git/git-hosts.ts";
import { openGitHubHost } from "./platform/git/github-host.ts";
import { cloneAddress, gitHubSettings } from "./platform/git/github-settings.ts";
import { openLocalGitHost } from "./platform/git/local-host.ts";
import { type PushWatch, watchPushes } from "./platform/git/push-watch.ts";
import { gitHttp } from "./platform/git/smart-http.ts";
import { type UnrecordedPush, unrecordedPushes } from "./platform/git/unrecorded-pushes.ts";
import { storeAudit } from "./platform/identity/audit.ts";
import { Identity, tokenFrom } from "./platform/identity/identity.ts";
import { Projects } from "./platform/projects/projects.ts";
import { Variables } from "./platform/projects/variables.ts";
import { openQueue } from "./platform/queue/bullmq-queue.ts";
import { openLocalRuntime } from "./platform/runtime/local.ts";
import { openOwnedProcesses } from "./platform/runtime/owned-processes.ts";
import { openMasterKey } from "./platform/secrets/master-key.ts";
import { Redactor } from "./platform/secrets/redactor.ts";
import { openEmbeddedPostgres } from "./platform/store/embedded-postgres.ts";
import { keepPostgres } from "./platform/store/keep-postgres.ts";
import { openStore } from "./platform/store/store.ts";
import { openTelemetryStore } from "./platform/telemetry/clickhouse.ts";
import { telemetryHttp } from "./platform/telemetry/ingest/http.ts";
import { openLogs } from "./platform/telemetry/logs.ts";
import { openTraces } from "./platform/telemetry/traces.ts";
import { TsdevError } from "./sdk/errors.ts";

const root = dirname(fileURLToPath(import.meta.url));
const registerUrl = pathToFileURL(join(root, "sdk/register.ts")).href;
const analysisEveryMs = 60_000;
const unfinishedEveryMs = 15_000;
const wantedOtlpPort = 4318;

export interface PlatformOptions {
  directory: DataDirectory;
  /** Port of the router, through which everything is reached; undefined takes 3200 or the next free one. */
  port: number | undefined;
  env: NodeJS.ProcessEnv;
}

export interface Platform {
  address: ControlPlaneFile;
  /** True at the very first start, when the owner's token was made. */
  firstStart: boolean;
  /** A one-time link that opens the dashboard. */
  loginLink(): Promise<string>;
  /** Stops the control plane; with `all` also the apps, the router and the database server. */
  close(options: { all: boolean }): Promise<void>;
}

/** Undoes one thing that a start has done. */
type Undo = () => Promise<unknown>;

/** Opens the platform on a data directory that this process holds. A start that is refused leaves nothing running that it started. */
export async function openPlatform(options: PlatformOptions): Promise<Platform> {
  const undo: Undo[] = [];
  try {
    return await compose(options, undo);
  } catch (error) {
    for (const one of undo.reverse()) await one().catch(() => undefined);
    throw error;
  }
}

async function compose({ directory, port, env }: PlatformOptions, undo: Undo[]): Promise<Platform> {
  const stop = new AbortController();
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  const nodeFolder = dirname(process.execPath);
  const github = gitHubSettings(env);

  // state, telemetry, queue
  const postgres = env.DATABASE_URL
    ? { url: env.DATABASE_URL, adminUrl: env.DATABASE_URL, started: false, stop: async () => undefined }
    : await openEmbeddedPostgres({ directory: directory.join("postgres") });
  if (postgres.started) undo.push(() => postgres.stop());
  const kept = env.DATABASE_URL
    ? undefined
    : keepPostgres({ directory: directory.join("postgres"), log: console.error });
  undo.push(async () => kept?.close());
  const [store, telemetry] = await Promise.all([
    openStore({ url: postgres.url }),
    openTelemetryStore(
      env.CLICKHOUSE_URL ? { clickhouseUrl: env.CLICKHOUSE_URL } : { directory: directory.join("clickhouse") },
    ),
  ]);
  undo.push(
    () => store.close(),
    () => telemetry.close(),
  );
  const { db } = store;
  const queue = await openQueue(env.REDIS_URL ? { redisUrl: env.REDIS_URL } : { postgresUrl: postgres.url });
  undo.push(() => queue.close());

  // identity and secrets
  const masterKey = await openMasterKey(directory.path);
  const redactor = new Redactor();
  const identity = new Identity(db, masterKey);
  const owner = await identity.ensureOwner(directory.path);
  redactor.learn([owner.token]);
  redactor.learn(github.secrets);

  // what a killed control plane left behind
  const processes = openOwnedProcesses(directory.path);
  await processes.reapOwned();
  await cleanUpProofs({ adminUrl: postgres.adminUrl, directory: directory.join("proofs") });

  // the machine: runtime, databases, builds
  const runtime = await openLocalRuntime({
    directory: directory.join("runtime"),
    ...(port === undefined ? {} : { wantedPort: port, exactPort: true }),
    nodePath: process.execPath,
    log: (message) => console.error(message),
  });
  undo.push(async () => {
    const serving = (await runtime.status()).some((instance) => instance.state !== "exited");
    await (serving ? runtime.close() : runtime.stopAll());
  });
  const databases = new AppDatabases({
    adminUrl: postgres.adminUrl,
    key: masterKey.derive("app databases").toString("hex"),
  });
  const routerPort = new URL(runtime.routerUrl).port;
  const host = (project: string, environment: string, service: string) =>
    environment === "production" ? `${service}.${project}.localhost` : `${service}.${environment}.${project}.localhost`;
  const environmentUrl = (project: string, environment: string, service: string) =>
    `http://${host(project, environment, service)}:${routerPort}`;

  const packedSdk = await packSdk({
    sdkFolder: join(root, "sdk"),
    directory: directory.join("cache", "sdk"),
    nodeFolder,
  });
  const sdkManifest = JSON.parse(await readFile(join(root, "sdk/package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  let selfUrl = "";
  const commands = new BuildCommands({
    processes,
    environment: async () => buildEnvironment({ from: env, nodeFolder, sdkRegistry: `${selfUrl}/npm/` }),
    nodePath: process.execPath,
    toolchain: JSON.stringify([process.version, process.platform, process.arch, packedSdk.digest]),
  });

  // nouns
  const local = await openLocalGitHost({ directory: directory.join("git"), db, baseUrl: () => runtime.routerUrl });
  const { credentials, baseUrl } = github;
  const git = gitHosts({
    local,
    github: credentials && (await openGitHubHost({ credentials, baseUrl, directory: directory.join("git") })),
  });
  const projects = new Projects({
    db,
    createRepository: (project) => local.createRepository(project),
    findRepository: async (repository) => {
      if (git.github === null) throw notConnected();
      return git.github.repository(repository);
    },
    gitUrl: (project) =>
      project.git_host === "github"
        ? cloneAddress(baseUrl, project.git_location)
        : `${runtime.routerUrl}/git/${project.name}.git`,
    environmentUrl,
  });
  let watch: PushWatch | undefined;
  const variables = new Variables({ db, masterKey, redactor });
  await variables.learnSecrets();
  const logs = new BuildLogs(directory.join("builds", "logs"), redactor);
  const releases = new Releases({ db, git, directory: directory.path, commands });
  await releases.removeUnfinished();
  const deployments = new Deployments({
    db,
    queue,
    projects,
    instances: (id) => runtime.status(id),
    url: environmentUrl,
  });
  const deployer = new Deployer({
    db,
    deployments,
    releases,
    logs,
    runtime,
    databases,
    variables,
    otlp: (scope) => ({
      endpoint: runtime.routerUrl.replace("localhost", "127.0.0.1"),
      token: identity.ingestToken(scope),
    }),
    registerUrl,
    compileCache: directory.join("cache", "compiled"),
    host,
  });

  // agents
  const traces = openTraces(telemetry);
  const logStore = openLogs(telemetry);
  const suggestions = new Suggestions(db);
  const progress = new PipelineProgress();
  const pipeline = new Pipeline({
    db,
    suggestions,
    deployments,
    releases,
    databases,
    variables,
    git,
    queue,
    reader: telemetry.reader,
    replayInput: new ReplayInput(db, (organizationId, filter) => traces.recordingsFor(organizationId, filter)),
    sqlTypes: postgresSqlTypes,
    processes,
    adminUrl: postgres.adminUrl,
    directory: directory.path,
    registerUrl,
    nodePath: process.execPath,
    links: {
      trace: (traceId) => `${runtime.routerUrl}/traces/${traceId}`,
      suggestion: (id) => `${runtime.routerUrl}/suggestions/${id}`,
    },
    onProgress: (id, event) => progress.tell(id, event),
  });

  const audit = storeAudit(db);
  const registry = new OperationRegistry({
    audit,
    redactor,
    operations: allOperations({
      identity: { db, identity, dashboardUrl: () => runtime.routerUrl },
      projects,
      variables,
      deployments: {
        db,
        deployments,
        projects,
        logs,
        runtime,
        head: async (project, branch) => {
          const location = project.git_location;
          const host = git.of(project);
          // what is new there is recorded as a push first, or it would be deployed again when it is found
          if (host.kind === "github") await watch?.look(project.id);
          const commit = await host.head(location, branch);
          if (commit === null) return null;
          return { commit, message: (await host.describe(location, commit))?.subject ?? "" };
        },
      },
      telemetry: { traces, logs: logStore, projects },
      pullRequests: {
        project: async (organizationId, name) => {
          const row = await projects.row(organizationId, name);
          return {
            host: git.of(row),
            location: row.git_location,
            defaultBranch: row.default_branch,
          };
        },
        onMerge: async ({ organizationId, project, branch, before, after, message, principal }) => {
          await deployments.onPush({
            organizationId,
            project,
            branch,
            before,
            after,
            message,
            pushedBy: principal.id,
            cause: "merge",
            mayRepeat: true,
          });
          await pipeline.sync((await projects.row(organizationId, project)).id);
        },
      },
      suggestions: { suggestions, pipeline, progress, projects, queue },
    }),
  });

  // faces
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", (c) => c.json({ status: "ready" }));
  app.route("/api/v1", httpApi({ registry, identity, url: () => runtime.routerUrl, version }));
  app.route("/mcp", mcpHttp({ registry, identity, masterKey, version, url: () => runtime.routerUrl }));
  const ingest = telemetryHttp({
    store: telemetry,
    authenticate: async (authorization) => {
      const token = tokenFrom(authorization);
      return token ? identity.ingestScope(token) : null;
    },
  });
  app.route("/", ingest);
  app.route(
    "/npm",
    sdkRegistry({
      tarballPath: packedSdk.tarballPath,
      version: packedSdk.version,
      dependencies: sdkManifest.dependencies,
    }),
  );
  app.route(
    "/git",
    gitHttp({
      host: local,
      authenticate: (token) => identity.principalOf(token),
      onPush: async ({ project, branch, before, after, message, principal }) => {
        const made = await deployments.onPush({
          organizationId: project.organizationId,
          project: project.name,
          branch,
          before,
          after,
          message,
          pushedBy: principal.id,
          cause: "push",
        });
        await audit({
          principal,
          operation: "git.push",
          face: "git",
          input: { project: project.name, branch, before, after },
          outcome: "done",
          errorCode: null,
        });
        if (made.length > 0) {
          return made.map(
            ({ id }) => `deployment ${id} is queued, follow it at ${runtime.routerUrl}/deployments/${id}`,
          );
        }
        const { environments } = await projects.get(project.organizationId, project.name);
        return nothingDeployed(project.name, branch, environments);
      },
    }),
  );
  app.route("/", dashboardPages(join(root, "dashboard/dist")));

  const listening: Listening[] = [];
  const own = await listen(app, { port: 0 });
  listening.push(own);
  selfUrl = own.url;
  await runtime.setControlPlane(own.port);
  const otlp = await listen(new Hono().route("/", ingest), { port: wantedOtlpPort, orNextFree: true });
  listening.push(otlp);

  // carry on where the last one was stopped
  await runtime.retain(await deployer.reconcile());
  for (const push of await unrecordedPushes({ host: local, db })) await onFoundPush(push, "found at start");
  const pump = pumpOutput({ runtime, logs: logStore, db, redactor, signal: stop.signal });
  await workDeployments(deployer, queue);
  await workSuggestions(pipeline, queue);
  if (git.github) {
    watch = watchPushes({
      db,
      host: git.github,
      onPush: (push) => onFoundPush(push, "found on GitHub"),
      onLooked: (projectId) => pipeline.sync(projectId),
      log: (message) => console.error(message),
      signal: stop.signal,
    });
  } else {
    const lost = await db.selectFrom("projects").select("name").where("git_host", "=", "github").execute();
    for (const { name } of lost) console.error(`nothing new of ${name} is deployed: ${notConnected().message}`);
  }
  const analysis = setInterval(() => void analyzeEverything(), analysisEveryMs).unref();
  // what it throws (the database is away) is tried again the next time
  const unfinished = setInterval(() => void deployments.enqueueUnfinished().catch(() => undefined), unfinishedEveryMs);
  unfinished.unref();

  async function onFoundPush(push: UnrecordedPush, pushedBy: string): Promise<void> {
    const { branch, before, after, message, cause } = push;
    const { organizationId, name } = push.project;
    await deployments.onPush({
      organizationId,
      project: name,
      branch,
      before,
      after,
      message,
      cause,
      pushedBy,
      found: true,
    });
  }

  /** A regular look at every environment with something live; what it throws is told and tried again at the next one. */
  async function analyzeEverything(): Promise<void> {
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

  const address: ControlPlaneFile = {
    pid: process.pid,
    url: runtime.routerUrl,
    dashboard: runtime.routerUrl,
    mcp: `${runtime.routerUrl}/mcp`,
    otlp: otlp.url,
    git: `${runtime.routerUrl}/git`,
    token: owner.token,
  };
  await directory.announce(address);

  return {
    address,
    firstStart: owner.created,
    loginLink: async () => {
      const principal = await identity.principalOf(owner.token);
      if (!principal)
        throw new TsdevError("internal", { message: "the owner's token is gone", fix: "start the platform again" });
      return `${runtime.routerUrl}/login?code=${await identity.createLoginCode(principal)}`;
    },
    close: async ({ all }) => {
      clearInterval(analysis);
      clearInterval(unfinished);
      stop.abort();
      await queue.close();
      await processes.endOwned();
      await pump;
      await watch?.done;
      await logStore.close();
      await Promise.all(listening.map((one) => one.close()));
      if (all) await runtime.stopAll();
      else await runtime.close();
      await telemetry.close();
      await store.close();
      await kept?.close();
      if (all) await postgres.stop();
      await directory.release();
    },
  };
}

function nothingDeployed(project: string, branch: string, environments: { name: string; branch: string }[]): string[] {
  // a push that is known already, or a branch of ours
  if (environments.some((one) => one.branch === branch) || branch.startsWith("tsdev/")) return [];
  const followed = environments.map((one) => `${one.branch} (${one.name})`).join(" or ");
  return [`no environment of ${project} follows the branch ${branch}, so nothing is deployed; push to ${followed}`];
}
