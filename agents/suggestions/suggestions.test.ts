// Suggestions on a real Postgres and the local Git host: once for a finding, opened only when proven, within limits, and not against a person.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Finding } from "../../analyzers/finding.ts";
import { gitHosts } from "../../platform/git/git-hosts.ts";
import { type LocalGitHost, openLocalGitHost } from "../../platform/git/local-host.ts";
import type { EnvironmentRow, ProjectRow } from "../../platform/projects/projects.ts";
import { newId } from "../../platform/store/id.ts";
import { type TemporaryPostgres, temporaryPostgres } from "../../platform/store/postgres-fixture.ts";
import { openStore, type Store } from "../../platform/store/store.ts";
import { Pipeline, type PipelineParts } from "./pipeline.ts";
import { PipelineProgress } from "./pipeline-progress.ts";
import { findingOf, patchOf, proofOf } from "./suggestion.fixture.ts";
import { type SuggestionRow, Suggestions } from "./suggestions.ts";

let postgres: TemporaryPostgres;
let store: Store;
let directory: string;
let git: LocalGitHost;
let suggestions: Suggestions;
let pipeline: Pipeline;
let project: ProjectRow;
let environment: EnvironmentRow;
let base: string;

beforeAll(async () => {
  postgres = await temporaryPostgres();
  store = await openStore({ url: postgres.url });
  directory = await mkdtemp(join(tmpdir(), "tsdev-suggestions-"));
  git = await openLocalGitHost({ directory, db: store.db, baseUrl: () => "http://localhost" });
  suggestions = new Suggestions(store.db);
  // only what follows the proof is done here: patching and proving have suites of their own
  pipeline = new Pipeline({
    db: store.db,
    suggestions,
    git: gitHosts({ local: git, github: null }),
    links: {
      trace: (id: string) => `http://localhost/traces/${id}`,
      suggestion: (id: string) => `http://localhost/suggestions/${id}`,
    },
    onProgress: () => undefined,
  } as unknown as PipelineParts);
});
afterAll(async () => {
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  const organizationId = newId("org");
  const id = newId("prj");
  const { location } = await git.createRepository({ id, defaultBranch: "main" });
  await store.db.insertInto("organizations").values({ id: organizationId, name: "o" }).execute();
  project = await store.db
    .insertInto("projects")
    .values({
      id,
      organization_id: organizationId,
      name: "shop",
      default_branch: "main",
      git_host: "local",
      git_location: location,
      settings: JSON.stringify({ pullRequests: { maxOpen: 2, perHour: 2 } }),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  environment = await store.db
    .insertInto("environments")
    .values({
      id: newId("env"),
      organization_id: organizationId,
      project_id: id,
      name: "production",
      branch: "main",
      replicas: 1,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  base = await firstCommit(git.repositoryPath(location));
});

async function firstCommit(bare: string): Promise<string> {
  const run = (args: string[], input = "") =>
    execa("git", ["-c", "user.name=t", "-c", "user.email=t@t", `--git-dir=${bare}`, ...args], { input });
  const { stdout: blob } = await run(["hash-object", "-w", "--stdin"], "before\n");
  const { stdout: src } = await run(["mktree"], `100644 blob ${blob}\torders.ts\n`);
  const { stdout: tree } = await run(["mktree"], `040000 tree ${src}\tsrc\n`);
  const { stdout: commit } = await run(["commit-tree", tree, "-m", "first"]);
  await run(["update-ref", "refs/heads/main", commit]);
  return commit;
}

const place = () => ({ organizationId: project.organization_id, projectId: project.id, environmentId: environment.id });
const record = (findings: Finding[], baseCommit = base) =>
  suggestions.record(place(), { findings, rejections: [], deploymentId: "dep_1", baseCommit });
const stateOf = async (row: SuggestionRow) => suggestions.describe(await suggestions.row(row.organization_id, row.id));
const signal = new AbortController().signal;

/** A suggestion whose patch and proof are stored, as after a kill just before it is opened. */
async function proven(fingerprint = "f1", proof = proofOf()): Promise<SuggestionRow> {
  const [row] = await record([findingOf({ fingerprint })]);
  if (!row) throw new Error("no row");
  await suggestions.change(row.id, { patch: patchOf({ fingerprint }), proof });
  return suggestions.row(row.organization_id, row.id);
}

describe("a finding", () => {
  test("seen often and at once is one suggestion", async () => {
    const rows = await Promise.all(Array.from({ length: 5 }, () => record([findingOf()])));
    expect(new Set(rows.flat().map((row) => row.id)).size).toBe(1);
    expect(await suggestions.list(project.organization_id, environment.id, undefined)).toHaveLength(1);
  });

  test("declined for code that has changed since is looked at again at the new commit", async () => {
    const [row] = await record([findingOf()]);
    const { detector, fingerprint, file, line } = findingOf();
    await suggestions.change(row!.id, { declined: { detector, fingerprint, file, line, condition: "c", reason: "r" } });
    await record([findingOf()]);
    expect((await stateOf(row!)).declined).not.toBeNull();
    await record([findingOf()], "c".repeat(40));
    expect(await stateOf(row!)).toMatchObject({ declined: null, baseCommit: "c".repeat(40) });
  });

  test("patched already keeps the commit that its patch is for", async () => {
    const row = await proven();
    await record([findingOf()], "c".repeat(40));
    expect(await stateOf(row)).toMatchObject({ baseCommit: base });
  });
});

describe("a proven suggestion is opened", () => {
  test("as one pull request, however often it is run", async () => {
    const row = await proven();
    for (let time = 0; time < 3; time++) await pipeline.run(row.id, signal);
    expect(await stateOf(row)).toMatchObject({ state: "pull-request", pullRequest: { number: 1, state: "open" } });
    expect(await git.pullRequests(project.git_location)).toHaveLength(1);
  });

  test("as the same pull request after a kill between the host and the row", async () => {
    const row = await proven();
    await pipeline.run(row.id, signal);
    await store.db
      .updateTable("suggestions")
      .set({ state: "open", pull_request: null })
      .where("id", "=", row.id)
      .execute();
    await pipeline.run(row.id, signal);
    expect(await git.pullRequests(project.git_location)).toHaveLength(1);
    expect(await stateOf(row)).toMatchObject({ pullRequest: { number: 1 } });
  });

  test("by itself only up to the limits, which a person's request ignores", async () => {
    const rows = [await proven("f1"), await proven("f2"), await proven("f3")];
    for (const row of rows) await pipeline.run(row.id, signal);
    expect(await git.pullRequests(project.git_location)).toHaveLength(2);
    expect(await stateOf(rows[2]!)).toMatchObject({ state: "open" });
    await pipeline.apply(await suggestions.row(project.organization_id, rows[2]!.id));
    expect(await stateOf(rows[2]!)).toMatchObject({ state: "pull-request" });
  });

  test("no more of them in an hour, also when those before are closed", async () => {
    const rows = [await proven("f1"), await proven("f2"), await proven("f3")];
    for (const row of rows.slice(0, 2)) await pipeline.run(row.id, signal);
    for (const number of [1, 2]) await git.close(project.git_location, number);
    await pipeline.sync(project.id);
    await pipeline.run(rows[2]!.id, signal);
    expect(await stateOf(rows[2]!)).toMatchObject({ state: "open", pullRequest: null });
  });

  test("never by itself where that is turned off", async () => {
    await store.db
      .updateTable("projects")
      .set({ settings: JSON.stringify({ pullRequests: { automatic: false } }) })
      .where("id", "=", project.id)
      .execute();
    const row = await proven();
    await pipeline.run(row.id, signal);
    expect(await stateOf(row)).toMatchObject({ state: "open", pullRequest: null });
  });
});

describe("nothing is opened that is not proven, by itself or by a person", () => {
  test.each([
    ["not equal", { equal: false, differences: ["GET /orders: body"] }],
    ["not better", { better: false }],
  ])("%s", async (_, more) => {
    const row = await proven("f1", proofOf(more));
    await pipeline.run(row.id, signal);
    await expect(pipeline.apply(row)).rejects.toMatchObject({ code: "not_proven" });
    expect(await git.pullRequests(project.git_location)).toEqual([]);
  });

  test("without a proof", async () => {
    const [row] = await record([findingOf()]);
    await expect(pipeline.apply(row!)).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("what a person decided stands", () => {
  test("dismissed is not proposed again, also when found again", async () => {
    const row = await proven();
    await suggestions.change(row.id, { state: "dismissed", dismissedReason: "wanted so" });
    await record([findingOf()]);
    await pipeline.run(row.id, signal);
    expect(await stateOf(row)).toMatchObject({ state: "dismissed", dismissedReason: "wanted so" });
    expect(await git.pullRequests(project.git_location)).toEqual([]);
  });

  test("dismissed while it was worked on: an outdated step does not bring it back", async () => {
    const row = await proven();
    await suggestions.change(row.id, { state: "dismissed", dismissedReason: "wanted so" });
    expect(await suggestions.change(row.id, { state: "pull-request" }, { states: ["open"] })).toBe(false);
    expect(await stateOf(row)).toMatchObject({ state: "dismissed" });
  });

  test("a closed pull request dismisses it, and it is not opened again when asked for", async () => {
    const row = await proven();
    await pipeline.run(row.id, signal);
    await git.close(project.git_location, 1);
    await pipeline.sync(project.id);
    expect(await stateOf(row)).toMatchObject({ state: "dismissed", pullRequest: { state: "closed" } });
    const closed = await suggestions.row(row.organization_id, row.id);
    await expect(pipeline.apply(closed)).rejects.toMatchObject({ code: "conflict" });
  });

  test("snoozed is left alone until its time, then it comes back", async () => {
    const row = await proven();
    await suggestions.change(row.id, { state: "snoozed", snoozedUntil: new Date(Date.now() + 60_000) });
    await pipeline.run(row.id, signal);
    expect(await stateOf(row)).toMatchObject({ state: "snoozed", pullRequest: null });
    await suggestions.change(row.id, { snoozedUntil: new Date(Date.now() - 1) });
    await pipeline.run(row.id, signal);
    expect(await stateOf(row)).toMatchObject({ state: "pull-request", snoozedUntil: null });
  });
});

test("progress is heard from now on, and following ends with the signal", async () => {
  const progress = new PipelineProgress();
  const abort = new AbortController();
  const heard: string[] = [];
  const following = (async () => {
    for await (const event of progress.follow(abort.signal)) {
      heard.push(event.message);
      if (heard.length === 2) abort.abort();
    }
  })();
  for (const message of ["one", "two"]) progress.tell("sug_1", { message });
  await following;
  expect(heard).toEqual(["one", "two"]);
});
