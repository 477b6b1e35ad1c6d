// Two organizations on one platform: every operation there is, called by one with the names and ids of the other, finds nothing.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { suggestionQueue } from "../agents/suggestions/pipeline.ts";
import { PipelineProgress } from "../agents/suggestions/pipeline-progress.ts";
import { findingOf, patchOf, proofOf } from "../agents/suggestions/suggestion.fixture.ts";
import { Suggestions } from "../agents/suggestions/suggestions.ts";
import { allOperations, type OperationParts } from "../operations.ts";
import { type ApiFixture, apiFixture, member } from "../platform/api/api.fixture.ts";
import { OperationRegistry } from "../platform/api/registry.ts";
import { BuildLogs } from "../platform/builds/build-log.ts";
import { Deployments } from "../platform/deployments/deployments.ts";
import { openLocalGitHost } from "../platform/git/local-host.ts";
import { storeAudit } from "../platform/identity/audit.ts";
import { Projects } from "../platform/projects/projects.ts";
import { Variables } from "../platform/projects/variables.ts";
import { openQueue } from "../platform/queue/bullmq-queue.ts";
import type { Queue } from "../platform/queue/queue.ts";
import { MasterKey } from "../platform/secrets/master-key.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../platform/store/postgres-fixture.ts";
import { EnvironmentSettings } from "../platform/telemetry/environment-settings.ts";
import { Ingest } from "../platform/telemetry/ingest/ingest.ts";
import { openLogs } from "../platform/telemetry/logs.ts";
import { openMetrics } from "../platform/telemetry/metrics-operations.ts";
import { TenantSql } from "../platform/telemetry/query/tenant-sql.ts";
import { makeSpans, type TemporaryTelemetry, temporaryTelemetry } from "../platform/telemetry/telemetry-fixture.ts";
import { openTraces } from "../platform/telemetry/traces.ts";
import { TsdevError } from "../sdk/errors.ts";
import type { Operation, Principal } from "../sdk/operation.ts";

let api: ApiFixture;
let queuePostgres: TemporaryPostgres;
let telemetry: TemporaryTelemetry;
let queue: Queue;
let directory: string;
let registry: OperationRegistry;
let a: Principal;
let b: Principal;
/** What belongs to B, by the key under which operations ask for it. */
let theirs: Record<string, unknown>;

/** A part that no refused call may reach. */
const unreached: object = new Proxy(
  {},
  {
    get: (_target, name) => () => {
      throw new Error(`a call that should be refused reached ${String(name)}`);
    },
  },
);

beforeAll(async () => {
  api = await apiFixture([]);
  queuePostgres = await temporaryPostgres();
  telemetry = await temporaryTelemetry();
  directory = await mkdtemp(join(tmpdir(), "tsdev-tenants-"));
  queue = await openQueue({ postgresUrl: queuePostgres.url });
  const { db, identity, redactor } = api;
  const git = await openLocalGitHost({ directory: join(directory, "git"), db, baseUrl: () => "http://localhost" });
  const projects = new Projects({
    db,
    createRepository: (project) => git.createRepository(project),
    findRepository: async (location) => ({ location, defaultBranch: "main" }),
    gitUrl: (project) => `http://localhost/git/${project.name}.git`,
    environmentUrl: (project) => `http://${project}.localhost`,
  });
  const variables = new Variables({ db, redactor, masterKey: new MasterKey(Buffer.alloc(32, 5)) });
  const deployments = new Deployments({
    db,
    queue,
    projects,
    instances: async () => [],
    url: (project) => `http://${project}.localhost`,
  });
  const suggestions = new Suggestions(db);
  const logs = new BuildLogs(join(directory, "logs"), redactor);
  registry = new OperationRegistry({
    redactor,
    audit: storeAudit(db),
    operations: allOperations({
      identity: { db, identity, dashboardUrl: () => "http://localhost" },
      projects,
      variables,
      deployments: { db, deployments, projects, logs, runtime: unreached, head: async () => null },
      telemetry: {
        ...{ traces: openTraces(telemetry.store), logs: openLogs(telemetry.store), projects },
        metrics: openMetrics(telemetry.store),
        sql: new TenantSql(telemetry.store.reader),
        settings: new EnvironmentSettings(db),
      },
      pullRequests: {
        project: async (organizationId: string, name: string) => {
          const row = await projects.row(organizationId, name);
          return { host: git.forOrganization(organizationId), location: row.git_location, defaultBranch: "main" };
        },
        onMerge: async () => undefined,
      },
      suggestions: { suggestions, pipeline: unreached, progress: new PipelineProgress(), projects, queue },
    } as unknown as OperationParts),
  });

  a = (await member(db, "owner")).principal;
  b = (await member(db, "owner")).principal;
  // the same name on both sides for one, so that a name alone never decides
  for (const principal of [a, b]) await projects.create(principal.organizationId, { name: "common" });
  await projects.create(b.organizationId, { name: "theirs" });
  const place = await projects.environment(b.organizationId, "theirs", "production");
  const [deployment] = await deployments.onPush({
    organizationId: b.organizationId,
    project: "theirs",
    branch: "main",
    before: null,
    after: "b".repeat(40),
    pushedBy: b.id,
    message: "of B alone",
    cause: "push",
  });
  const [suggestion] = await suggestions.record(
    { organizationId: b.organizationId, projectId: place.project.id, environmentId: place.environment.id },
    {
      findings: [findingOf({ title: "of B alone" })],
      rejections: [],
      deploymentId: deployment!.id,
      baseCommit: "b".repeat(40),
    },
  );
  await suggestions.change(suggestion!.id, { patch: patchOf(), proof: proofOf() });
  await queue.add(suggestionQueue, { id: suggestion!.id, data: {} });
  const spans = makeSpans([{ name: "GET /of-b-alone", kind: SpanKind.SERVER, attributes: {} }], {});
  await new Ingest(telemetry.store).traces(Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!), "protobuf", {
    organizationId: b.organizationId,
    project: "theirs",
    environment: "production",
  });
  await registry.call(
    "variables.set",
    { project: "theirs", variables: { B_KEY: "of-b-alone" } },
    { principal: b, face: "cli" },
  );
  theirs = {
    project: "theirs",
    deployment: deployment!.id,
    suggestion: suggestion!.id,
    trace: spans[0]!.spanContext().traceId,
  };
});
afterAll(async () => {
  await queue?.close();
  await queuePostgres?.[Symbol.asyncDispose]();
  await telemetry?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Other required fields of inputs, with something that fits. */
const fitting: Record<string, unknown> = {
  number: 1,
  name: "NAME",
  reason: "a reason",
  replicas: 1,
  variables: { NAME: "value" },
  body: "text",
  at: "1700000000000000000",
  metric: "requests",
  kind: "histogram",
  sql: "SELECT 1",
};

const keysOf = (operation: Operation) => Object.keys((operation.input as { shape: object }).shape);
const names = (operation: Operation) =>
  operation.name !== "projects.create" &&
  keysOf(operation).some((key) => ["project", "suggestion", "trace", "deployment"].includes(key));

async function answers(operation: Operation, input: object, principal: Principal): Promise<unknown> {
  const options = { principal, face: "http" as const, signal: AbortSignal.timeout(2000) };
  if (operation.kind === "call") return registry.call(operation.name, input, options);
  const values = [];
  for await (const value of registry.stream(operation.name, input, options)) values.push(value);
  return values;
}

function inputFor(operation: Operation, given: Record<string, unknown>): object {
  const shape = (
    operation.input as unknown as { shape: Record<string, { safeParse(value: unknown): { success: boolean } }> }
  ).shape;
  const input: Record<string, unknown> = {};
  for (const [key, contract] of Object.entries(shape)) {
    if (key in given) input[key] = given[key];
    else if (!contract.safeParse(undefined).success) input[key] = fitting[key];
  }
  return input;
}

test("what names nothing shows nothing of another organization", async () => {
  for (const operation of registry.list().filter((one) => !names(one) && one.access.effect === "read")) {
    const answer = JSON.stringify(await answers(operation, inputFor(operation, {}), a));
    expect(answer, operation.name).not.toContain(b.organizationId);
    expect(answer, operation.name).not.toMatch(/"theirs"|of.B.alone/i);
  }
});

describe("what names a thing of another organization", () => {
  test("is not found, by every operation, and changes nothing", async () => {
    const before = await everythingOf(b.organizationId);
    const operations = registry.list().filter(names);
    expect(operations.length).toBeGreaterThan(20);
    for (const operation of operations) {
      const outcome = await answers(operation, inputFor(operation, theirs), a).then(
        (value) => `answered ${JSON.stringify(value)}`,
        (error: unknown) => TsdevError.from(error).code,
      );
      expect(`${operation.name}: ${outcome}`).toBe(`${operation.name}: not_found`);
    }
    expect(await everythingOf(b.organizationId)).toEqual(before);
  });

  test("is not found by its id under a project of one's own, either", async () => {
    for (const operation of registry.list().filter((one) => names(one) && keysOf(one).includes("project"))) {
      // these change a project of A's own, as they should
      if (operation.access.effect !== "read" && !keysOf(operation).includes("deployment")) continue;
      const input = inputFor(operation, { ...theirs, project: "common" });
      const outcome = await answers(operation, input, a).catch((error: unknown) => TsdevError.from(error).code);
      expect(JSON.stringify(outcome), operation.name).not.toMatch(/of.B.alone|B_KEY|"theirs"/i);
    }
  });
});

test("how much is in work counts one's own alone", async () => {
  const inWork = async (project: string, principal: Principal) =>
    ((await registry.call("suggestions.list", { project }, { principal, face: "http" })) as { inWork: number }).inWork;
  expect(await inWork("theirs", b)).toBe(1);
  expect(await inWork("common", a)).toBe(0);
});

test("the owner of it all finds it", async () => {
  for (const name of ["deployments.get", "suggestions.get", "traces.get", "projects.get"]) {
    const operation = registry.get(name);
    await expect(answers(operation, inputFor(operation, theirs), b), name).resolves.toBeDefined();
  }
});

async function everythingOf(organizationId: string): Promise<unknown> {
  const tables = [
    "projects",
    "environments",
    "environment_variables",
    "deployments",
    "suggestions",
    "pull_requests",
  ] as const;
  return Promise.all(
    tables.map((table) => api.db.selectFrom(table).selectAll().where("organization_id", "=", organizationId).execute()),
  );
}
