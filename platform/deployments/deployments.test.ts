// Pushes and the deployments they ask for, on a real Postgres: told twice, forced back, at once, and merged twice.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Projects } from "../projects/projects.ts";
import { openQueue } from "../queue/bullmq-queue.ts";
import type { Queue } from "../queue/queue.ts";
import { newId } from "../store/id.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../store/postgres-fixture.ts";
import { openStore, type Store } from "../store/store.ts";
import { Deployments, deploymentQueue, type Push } from "./deployments.ts";

let postgres: TemporaryPostgres;
let store: Store;
let queue: Queue;
let projects: Projects;
let deployments: Deployments;
let push: Push;

beforeAll(async () => {
  postgres = await temporaryPostgres();
  store = await openStore({ url: postgres.url });
  queue = await openQueue({ postgresUrl: postgres.url });
  projects = new Projects({
    db: store.db,
    createRepository: async ({ id }) => ({ location: id }),
    findRepository: async (repository) => ({ location: repository, defaultBranch: "main" }),
    gitUrl: (project) => `http://localhost/git/${project.name}.git`,
    environmentUrl: (project, environment, service) => `http://${service}.${environment}.${project}.localhost`,
  });
  deployments = new Deployments({
    db: store.db,
    queue,
    projects,
    instances: async () => [],
    url: (project, environment, service) => `http://${service}.${environment}.${project}.localhost`,
  });
});

afterAll(async () => {
  await queue?.close();
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  const organizationId = newId("org");
  await store.db.insertInto("organizations").values({ id: organizationId, name: organizationId }).execute();
  await projects.create(organizationId, { name: "shop", defaultBranch: "main" });
  push = {
    organizationId,
    project: "shop",
    branch: "main",
    before: null,
    after: "a".repeat(40),
    pushedBy: "tester",
    message: "first",
    cause: "push",
  };
});

const commitA = "a".repeat(40);
const commitB = "b".repeat(40);

/** Newest first, as `deployments.list` shows them. */
async function listed(): Promise<string[]> {
  const list = await deployments.list(push.organizationId, "shop", "production", 100);
  return list.map((one) => `${one.commit[0]} ${one.status}`);
}

describe("a push", () => {
  test("asks for one deployment and one job, however often it is told", async () => {
    const before = await queue.depth(deploymentQueue);
    for (let time = 0; time < 3; time++) await deployments.onPush(push);
    expect(await listed()).toEqual(["a queued"]);
    expect(await queue.depth(deploymentQueue)).toBe(before + 1);
  });

  test("told many times at once is one", async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => deployments.onPush(push)));
    expect(made.flat()).toHaveLength(1);
    expect(await listed()).toEqual(["a queued"]);
  });

  test("forced back and made once more is a new one each time", async () => {
    await deployments.onPush(push);
    await deployments.onPush({ ...push, before: commitA, after: commitB });
    await deployments.onPush({ ...push, before: commitB, after: commitA });
    await deployments.onPush({ ...push, before: commitA, after: commitB });
    // the very same move as the second, and it is the one that goes live
    expect(await listed()).toEqual(["b queued", "a canceled", "b canceled", "a canceled"]);
    await deployments.onPush({ ...push, before: commitA, after: commitB });
    expect(await listed()).toHaveLength(4);
  });

  test("to another branch does not make a repeated one new", async () => {
    await deployments.onPush(push);
    await deployments.onPush({ ...push, branch: "topic", before: commitA, after: commitB });
    await deployments.onPush(push);
    expect(await listed()).toEqual(["a queued"]);
  });

  test("of a branch that two environments follow is deployed to both", async () => {
    const { project, environment } = await projects.environment(push.organizationId, "shop", "production");
    const { telemetry, ...row } = environment;
    const staging = {
      ...row,
      id: newId("env"),
      name: "staging",
      telemetry: JSON.stringify(telemetry),
      project_id: project.id,
    };
    await store.db.insertInto("environments").values(staging).execute();
    expect(await deployments.onPush(push)).toHaveLength(2);
    expect(await deployments.onPush(push)).toEqual([]);
  });

  test("many at once leave exactly the last recorded one waiting", async () => {
    const commits = Array.from({ length: 8 }, (_, index) => `${index}`.repeat(40));
    await Promise.all(commits.map((after) => deployments.onPush({ ...push, after })));
    const [newest, ...older] = await listed();
    expect(newest).toMatch(/queued$/);
    expect(older).toHaveLength(7);
    expect(older.filter((one) => !one.endsWith("canceled"))).toEqual([]);
  });
});

test("a merge told again after later pushes is not deployed over them", async () => {
  const merge: Push = { ...push, cause: "merge", mayRepeat: true, before: commitA, after: commitB };
  const later = "c".repeat(40);
  await deployments.onPush(push);
  await deployments.onPush(merge);
  await deployments.onPush({ ...push, before: commitB, after: later });
  await deployments.onPush(merge);
  expect(await listed()).toEqual(["c queued", "b canceled", "a canceled"]);
});

test("a push found by a look that others have overtaken is not deployed over them", async () => {
  const found: Push = { ...push, found: true };
  const later = "c".repeat(40);
  await deployments.onPush(found);
  // seen at b while a was the latest, told when c is
  await deployments.onPush({ ...push, before: commitA, after: later });
  expect(await deployments.onPush({ ...found, before: commitA, after: commitB })).toEqual([]);
  expect(await listed()).toEqual(["c queued", "a canceled"]);
  await deployments.onPush({ ...found, before: later, after: commitB });
  expect(await listed()).toEqual(["b queued", "c canceled", "a canceled"]);
});

describe("what people ask for", () => {
  const asked = () => deployments.list(push.organizationId, "shop", "production", 100);
  const liveAt = (id: string, commit: string, release: string) =>
    store.db.transaction().execute(async (trx) => {
      const { project_id } = await trx
        .selectFrom("deployments")
        .selectAll()
        .where("id", "=", id)
        .executeTakeFirstOrThrow();
      const values = {
        id: release,
        organization_id: push.organizationId,
        project_id,
        service: "shop",
        commit,
        folder: "f",
        config: "{}",
        lockfile_digest: "",
      };
      await trx.insertInto("releases").values(values).execute();
      await trx
        .updateTable("deployments")
        .set({ status: "superseded" })
        .where("status", "=", "live")
        .where("project_id", "=", project_id)
        .execute();
      await trx
        .updateTable("deployments")
        .set({ status: "live", live_at: new Date(), release_id: release })
        .where("id", "=", id)
        .execute();
    });

  test("a commit on its way is not asked for twice, and the head is deployed again when it is live", async () => {
    const head = { commit: commitA, message: "first" };
    const [first] = await deployments.onPush(push);
    expect((await deployments.deploy(push.organizationId, "shop", "production", head)).id).toBe(first!.id);
    await liveAt(first!.id, commitA, newId("rel"));
    expect((await deployments.deploy(push.organizationId, "shop", "production", head)).id).not.toBe(first!.id);
  });

  test("a rollback takes the release before the live one, and is refused where there is none", async () => {
    const rollback = (target?: string) => deployments.rollback(push.organizationId, "shop", "production", target);
    await expect(rollback()).rejects.toMatchObject({ code: "conflict" });
    const [first] = await deployments.onPush(push);
    const release = newId("rel");
    await liveAt(first!.id, commitA, release);
    await expect(rollback()).rejects.toMatchObject({ code: "conflict" });
    const [second] = await deployments.onPush({ ...push, before: commitA, after: commitB });
    await liveAt(second!.id, commitB, newId("rel"));
    expect(await rollback()).toMatchObject({
      cause: "rollback",
      rollback_of: first!.id,
      release_id: release,
      status: "queued",
    });
    await expect(rollback("dep_nothing_such")).rejects.toMatchObject({ code: "not_found" });
  });

  test("canceled is canceled once; what is live cannot be", async () => {
    const [first] = await deployments.onPush(push);
    const { signal, done } = deployments.track(first!.id);
    await deployments.cancel(push.organizationId, first!.id);
    expect(signal.aborted).toBe(true);
    done();
    expect((await asked())[0]).toMatchObject({ status: "canceled", reason: { code: "canceled" } });
    await expect(deployments.cancel(push.organizationId, first!.id)).rejects.toMatchObject({ code: "conflict" });
  });
});

test("a deployment whose job is lost gets another, and one that has a job no second one", async () => {
  await deployments.onPush(push);
  const { project, environment } = await projects.environment(push.organizationId, "shop", "production");
  await store.db
    .insertInto("deployments")
    .values({
      id: newId("dep"),
      organization_id: push.organizationId,
      project_id: project.id,
      environment_id: environment.id,
      service: "shop",
      commit: commitB,
      commit_message: "its job failed five times",
      cause: "manual",
      status: "building",
    })
    .execute();
  const before = await queue.depth(deploymentQueue);
  await deployments.enqueueUnfinished();
  await deployments.enqueueUnfinished();
  expect(await queue.depth(deploymentQueue)).toBe(before + 1);
});
