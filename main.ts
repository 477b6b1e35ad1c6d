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
import { mountFaces } from "./faces.ts";
import { allOperations } from "./operations.ts";
import { OperationRegistry } from "./platform/api/registry.ts";
import { BuildCommands } from "./platform/builds/build-commands.ts";
import { buildEnvironment } from "./platform/builds/build-environment.ts";
import { BuildLogs } from "./platform/builds/build-log.ts";
import { packSdk } from "./platform/builds/packed-sdk.ts";
import { Releases } from "./platform/builds/releases.ts";
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
import { storeAudit } from "./platform/identity/audit.ts";
import { Identity } from "./platform/identity/identity.ts";
import { Projects } from "./platform/projects/projects.ts";
import { Variables } from "./platform/projects/variables.ts";
import { openLocalRuntime } from "./platform/runtime/local.ts";
import { openOwnedProcesses } from "./platform/runtime/owned-processes.ts";
import { openMasterKey } from "./platform/secrets/master-key.ts";
import { Redactor } from "./platform/secrets/redactor.ts";
import { EnvironmentSettings } from "./platform/telemetry/environment-settings.ts";
import { environmentExposition } from "./platform/telemetry/export/environment-exposition.ts";
import { Forwarder } from "./platform/telemetry/export/forwarder.ts";
import { platformMetrics } from "./platform/telemetry/export/platform-metrics.ts";
import { Ingest, settingsBounds, settingsSampling } from "./platform/telemetry/ingest/ingest.ts";
import { openLogs } from "./platform/telemetry/logs.ts";
import { openMetrics } from "./platform/telemetry/metrics-operations.ts";
import { TenantSql } from "./platform/telemetry/query/tenant-sql.ts";
import { deploymentTenants } from "./platform/telemetry/runtime-metrics/deployment-tenants.ts";
import { measureInstances } from "./platform/telemetry/runtime-metrics/measure-instances.ts";
import { findingTraces } from "./platform/telemetry/sampling/finding-traces.ts";
import { openTraces } from "./platform/telemetry/traces.ts";
import { type RegularWork, startRegularWork } from "./regular-work.ts";
import { TsdevError } from "./sdk/errors.ts";
import { openStores, type Undo } from "./stores.ts";

const root = dirname(fileURLToPath(import.meta.url));
const registerUrl = pathToFileURL(join(root, "sdk/register.ts")).href;
const wantedOtlpPort = 4318;
const wantedOtlpGrpcPort = 4317;

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

  const stores = await openStores(directory, env, undo);
  const { store, telemetry, queue, adminUrl } = stores;
  const { db } = store;

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
  await cleanUpProofs({ adminUrl, directory: directory.join("proofs") });

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
    adminUrl,
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
  let work: RegularWork | undefined;
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
    redactor,
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
  const telemetrySettings = new EnvironmentSettings(store.db);
  telemetry.tail.citedBy((tenant) => findingTraces(store.db, tenant));
  const logStore = openLogs(telemetry, async (tenant) => (await telemetrySettings.of(tenant)).retentionDays.logs);
  const forwarder = new Forwarder({
    targetsOf: async (tenant) => (await telemetrySettings.of(tenant)).forward,
    variablesOf: async ({ organizationId, project, environment }) => {
      const place = await projects.environment(organizationId, project, environment);
      const found = await variables.all(place.environment.id);
      return new Map(found.map(({ name, value }) => [name, value]));
    },
    log: (message) => console.error(redactor.redact(message)),
    allowLinkLocal: env.TSDEV_FORWARD_LINK_LOCAL === "allow",
  });
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
    adminUrl,
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
          if (host.kind === "github") await work?.lookForPushes(project.id);
          const commit = await host.head(location, branch);
          if (commit === null) return null;
          return { commit, message: (await host.describe(location, commit))?.subject ?? "" };
        },
      },
      telemetry: {
        ...{ traces, logs: logStore, projects, settings: telemetrySettings },
        copies: (tenant) => forwarder.status(tenant),
        metrics: openMetrics(telemetry),
        sql: new TenantSql(telemetry.reader),
      },
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

  const telemetryIngest = new Ingest(
    telemetry,
    settingsBounds((tenant) => telemetrySettings.of(tenant)),
    settingsSampling((tenant) => telemetrySettings.of(tenant)),
    (signal, body, encoding, tenant) => forwarder.take(signal, body, encoding, tenant),
  );
  const { app, ingest, listenGrpc } = mountFaces({
    root,
    version,
    url: () => runtime.routerUrl,
    registry,
    identity,
    masterKey,
    telemetry: telemetryIngest,
    metrics: platformMetrics({
      ...{ store: telemetry, ingest: telemetryIngest, forwarder },
      requests: () => runtime.requests(),
      tenantsOf: (ids) => deploymentTenants(db, ids),
    }),
    environmentMetrics: (tenant) => environmentExposition(telemetry.reader, tenant),
    git: local,
    deployments,
    projects,
    audit,
    sdk: { ...packedSdk, dependencies: sdkManifest.dependencies },
  });
  const listening: Listening[] = [];
  const own = await listen(app, { port: 0 });
  listening.push(own);
  selfUrl = own.url;
  await runtime.setControlPlane(own.port);
  const otlp = await listen(new Hono().route("/", ingest), { port: wantedOtlpPort, orNextFree: true });
  listening.push(otlp);
  const otlpGrpc = await listenGrpc(wantedOtlpGrpcPort);
  listening.push(otlpGrpc);

  // carry on where the last one was stopped
  await runtime.retain(await deployer.reconcile());
  const pump = pumpOutput({ runtime, logs: logStore, db, redactor, signal: stop.signal });
  measureInstances({
    db,
    instances: () => runtime.status(),
    requests: () => runtime.requests(),
    file: join(directory.path, "instance-metrics.json"),
    ingest: telemetryIngest,
    log: (message) => console.error(message),
    signal: stop.signal,
  });
  await workDeployments(deployer, queue);
  await workSuggestions(pipeline, queue);
  work = await startRegularWork({
    db,
    local,
    github: git.github,
    deployments,
    projects,
    pipeline,
    queue,
    signal: stop.signal,
  });

  const address: ControlPlaneFile = {
    pid: process.pid,
    url: runtime.routerUrl,
    dashboard: runtime.routerUrl,
    mcp: `${runtime.routerUrl}/mcp`,
    otlp: otlp.url,
    otlpGrpc: otlpGrpc.url,
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
      stop.abort();
      await queue.close();
      await processes.endOwned();
      await pump;
      await work?.done();
      await logStore.close();
      await Promise.all(listening.map((one) => one.close()));
      forwarder.close();
      if (all) await runtime.stopAll();
      else await runtime.close();
      await stores.close({ all });
      await directory.release();
    },
  };
}
