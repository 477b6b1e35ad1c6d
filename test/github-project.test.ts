// A project whose repository is on GitHub (emulated), on the real platform: found, built, deployed, suggested to, merged.
//
// What an analysis finds and a proof measures is put into the store here, to be short: the demo and its test run that loop
// whole, on the same pipeline. From `suggestions.apply` on, everything is the platform's own doing.
//
// The emulator serves no git, so commits are checked out file by file over its API; that git itself fetches from a GitHub
// host is tested in platform/git/smart-http.test.ts.
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { createTwoFilesPatch } from "diff";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Patch } from "../agents/patches/patch.ts";
import type { Proof } from "../agents/proof/proof.ts";
import { Suggestions } from "../agents/suggestions/suggestions.ts";
import type { Finding } from "../analyzers/finding.ts";
import { adasToken, type GitHubEmulator, startGitHubEmulator } from "../platform/git/github-emulator.fixture.ts";
import { openEmbeddedPostgres } from "../platform/store/embedded-postgres.ts";
import { openStore, type Store } from "../platform/store/store.ts";
import { endAndRemove, eventually, PlatformProcess, run, temporaryFolder } from "./platform.fixture.ts";

const owner = "ada";
const repo = "shop";
const location = `${owner}/${repo}`;
const limitMs = 240_000;

let data: string;
let github: GitHubEmulator;
let platform: PlatformProcess;
let store: Store;
let server: string;
let env: Record<string, string>;

beforeAll(async () => {
  data = await temporaryFolder("github");
  github = await startGitHubEmulator();
  env = { TSDEV_GITHUB_TOKEN: adasToken, TSDEV_GITHUB_URL: github.baseUrl };
  const app = (file: string) => readFile(join(import.meta.dirname, "__fixtures__/naive-app", file), "utf8");
  server = await app("server.mjs");
  await github.createRepository(repo);
  await github.commit(location, "main", {
    "package.json": await app("package.json"),
    "server.mjs": server,
    version: "1\n",
  });
  platform = await PlatformProcess.start(data, { env });
  const postgres = await openEmbeddedPostgres({ directory: join(data, "postgres") });
  store = await openStore({ url: postgres.url });
});

afterAll(async () => {
  await store?.close();
  await endAndRemove(data, platform);
  await github?.stop();
});

/** What the app that is live says of itself. */
async function served(): Promise<string> {
  const { port } = new URL(platform.address.url);
  const [live] = (await platform.deployments("shop")).filter((one) => one.status === "live");
  // fetch would not let us name the host, and a resolver may not know *.localhost
  const asked = request({ host: "127.0.0.1", port, headers: { host: new URL(live!.url).host } }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  return ((await json(response)) as { version: string }).version;
}

async function live(commit: string) {
  const settled = await platform.settled("shop", (one) => one.commit === commit);
  expect(settled).toMatchObject({ status: "live", reason: null });
  return settled;
}

const suggestion = (id: string) => platform.client.call("suggestions.get", { suggestion: id });
const apply = (id: string) => platform.client.call("suggestions.apply", { suggestion: id });

async function pulls(branch: string) {
  const all = await github.ada.rest.pulls.list({ owner, repo, state: "all", head: `${owner}:${branch}` });
  return all.data;
}

/** A finding of the live deployment with its patch of server.mjs and its proof, as the pipeline would have stored them. */
async function proven(fingerprint: string, replaced: string, by: string): Promise<{ id: string; patch: Patch }> {
  const [deployment] = (await platform.deployments("shop")).filter((one) => one.status === "live");
  const row = await store.db
    .selectFrom("deployments")
    .selectAll()
    .where("id", "=", deployment!.id)
    .executeTakeFirstOrThrow();
  const finding: Finding = {
    detector: "n-plus-one",
    fingerprint,
    service: "shop",
    title: "N+1 in GET /orders",
    file: "server.mjs",
    line: 5,
    occurrences: 90,
    of: 100,
    wastedMs: 4200,
    p50Ms: 31,
    p95Ms: 44,
    traceIds: ["4bf92f3577b34da6a3ce929d0e0e4736"],
    evidence: {
      kind: "n-plus-one",
      statement: "SELECT * FROM lines WHERE order_id = ?",
      databaseSystem: "postgresql",
      repeats: { median: 50, max: 50 },
      frames: [{ file: "server.mjs", line: 5, function: null }],
      operation: "GET /orders",
    },
  };
  const after = server.replace(replaced, by);
  expect(after).not.toBe(server);
  const patch: Patch = {
    detector: "n-plus-one",
    fingerprint,
    file: "server.mjs",
    line: 5,
    files: [{ path: "server.mjs", before: server, after }],
    diff: createTwoFilesPatch("a/server.mjs", "b/server.mjs", server, after),
    reasoning: ["One query for all orders in place of one for each."],
    risk: "Low.",
  };
  const ratio = { value: 0.3, low: 0.28, high: 0.32 };
  const proof: Proof = {
    id: `prf_${fingerprint}`,
    baseCommit: row.commit,
    patchCommit: "0".repeat(40),
    equal: true,
    requests: 120,
    boots: 5,
    roundTripsPerRequest: { before: 51, after: 2 },
    spansPerRequest: { before: 52, after: 3 },
    failureRate: { before: 0, after: 0 },
    p50Ms: { before: 31, after: 9 },
    p50Ratio: ratio,
    p95Ms: { before: 44, after: 14 },
    conditions: [],
    checks: [],
    normalised: [],
    notProven: ["Nothing was replayed under load."],
    better: true,
    differences: [],
    seconds: 40,
  };
  const suggestions = new Suggestions(store.db);
  const [made] = await suggestions.record(
    { organizationId: row.organization_id, projectId: row.project_id, environmentId: row.environment_id },
    { findings: [finding], rejections: [], deploymentId: row.id, baseCommit: row.commit },
  );
  await suggestions.change(made!.id, { patch, proof });
  return { id: made!.id, patch };
}

test("a repository that GitHub does not show is refused, and one that it shows becomes a project", async () => {
  const create = (repository: string) => platform.client.call("projects.create", { name: "shop", repository });
  await expect(create(`${owner}/nope`)).rejects.toMatchObject({ code: "not_found" });
  await expect(create("https://github.com/ada/shop")).rejects.toMatchObject({
    code: "invalid_input",
    path: "repository",
  });
  const { project, created } = await create(location);
  expect(created).toBe(true);
  expect(project).toMatchObject({
    gitHost: "github",
    git: `${github.baseUrl}/${location}.git`,
    defaultBranch: "main",
    environments: [{ name: "production", branch: "main" }],
  });
});

test(
  "what is on the branch is found, built and deployed, and so is the next commit, each once",
  async () => {
    const head = await github.ada.rest.git.getRef({ owner, repo, ref: "heads/main" });
    const first = await live(head.data.object.sha);
    expect(first).toMatchObject({ cause: "push", commitMessage: "by Ada" });
    expect(await served()).toBe("1");

    const second = await github.commit(location, "main", { version: "2\n" }, "Second\n\nWith a body.");
    expect(await live(second)).toMatchObject({ cause: "push", commitMessage: "Second" });
    expect(await served()).toBe("2");
    expect((await platform.deployments("shop")).map((one) => one.status)).toEqual(["live", "superseded"]);
  },
  limitMs,
);

test(
  "`tsdev deploy` deploys what is on GitHub, once, and pushes nothing of the folder it runs in",
  async () => {
    const third = await github.commit(location, "main", { version: "3\n" });
    const folder = join(data, "elsewhere");
    await mkdir(folder);
    const cli = join(import.meta.dirname, "../cli/tsdev.js");
    const flags = ["--project", "shop", "--repository", location, "--data", data, "--json"];
    const said = await run([process.execPath, cli, "deploy", folder, ...flags]);
    expect(said.code, said.stderr).toBe(0);
    expect(JSON.parse(said.stdout)).toMatchObject({ commit: third });
    expect((await platform.deployments("shop")).filter((one) => one.commit === third)).toHaveLength(1);
    const head = await github.ada.rest.git.getRef({ owner, repo, ref: "heads/main" });
    expect(head.data.object.sha).toBe(third);
  },
  limitMs,
);

test(
  "what is pushed while the control plane is killed is found when it starts again",
  async () => {
    await platform.kill("SIGKILL");
    const fourth = await github.commit(location, "main", { version: "4\n" });
    platform = await PlatformProcess.start(data, { env });
    await live(fourth);
    expect(await served()).toBe("4");
  },
  limitMs,
);

test(
  "a suggestion becomes one draft pull request there; its merge there is deployed and makes the suggestion merged",
  async () => {
    const { id, patch } = await proven("f00d", "{ version, bytes }", '{ version: version + "b", bytes }');
    const branch = "tsdev/n-plus-one/f00d";
    const applied = await apply(id);
    const [pull, ...more] = await pulls(branch);
    expect(more).toEqual([]);
    expect(applied).toMatchObject({
      state: "pull-request",
      pullRequest: { number: pull!.number, url: pull!.html_url, branch, state: "open" },
    });
    expect(pull).toMatchObject({
      draft: true,
      state: "open",
      title: "perf: N+1 in GET /orders",
      head: { ref: branch },
      base: { ref: "main" },
    });
    expect(pull!.body).toContain("**51 → 2 database round trips a request.**");
    expect(pull!.body).toContain("SELECT * FROM lines WHERE order_id = ?");
    expect(pull!.body).toContain("equal in 120 of 120 replayed requests");
    expect(pull!.body).toContain("- Nothing was replayed under load.");

    // the branch has one commit over what is live, with the patch and nothing else
    const compared = await github.ada.rest.repos.compareCommitsWithBasehead({
      owner,
      repo,
      basehead: `main...${branch}`,
    });
    expect(compared.data.commits.map((one) => one.parents[0]?.sha)).toEqual([applied.baseCommit]);
    expect(compared.data.files?.map((one) => one.filename)).toEqual(["server.mjs"]);
    const changed = (text: string) => text.split("\n").filter((line) => /^[+-](?![+-])/.test(line));
    expect(changed(compared.data.files?.[0]?.patch ?? "")).toEqual(changed(patch.diff));
    const shown = await platform.client.call("pulls.get", { project: "shop", number: pull!.number });
    expect(changed(shown.diff)).toEqual(changed(patch.diff));

    await apply(id);
    expect(await pulls(branch)).toHaveLength(1);

    // Ada makes it ready and merges it on GitHub; nobody tells the platform
    const which = { owner, repo, pull_number: pull!.number };
    await github.ada.request("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", { ...which, draft: false });
    const merge = await github.ada.rest.pulls.merge({ ...which, merge_method: "merge" });
    expect(await live(merge.data.sha)).toMatchObject({ cause: "merge" });
    expect(await served()).toBe("4b");
    await eventually("the merge is seen", async () => (await suggestion(id)).state === "merged");
    expect((await suggestion(id)).pullRequest).toMatchObject({ state: "merged" });
    server = patch.files[0]!.after;

    expect((await apply(id)).state).toBe("merged");
    expect(await pulls(branch)).toHaveLength(1);
  },
  limitMs,
);

test(
  "a pull request closed there dismisses its suggestion, and is never opened again",
  async () => {
    const { id } = await proven("beef", "bytes += chunk.length", "bytes += Number(chunk.length)");
    const branch = "tsdev/n-plus-one/beef";
    const { pullRequest } = await apply(id);
    await github.ada.rest.pulls.update({ owner, repo, pull_number: pullRequest!.number, state: "closed" });
    await eventually("the close is seen", async () => (await suggestion(id)).state === "dismissed");
    expect(await suggestion(id)).toMatchObject({
      pullRequest: { state: "closed" },
      dismissedReason: "its pull request was closed",
    });
    await expect(apply(id)).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("closed") });
    expect(await pulls(branch)).toMatchObject([{ state: "closed" }]);

    // also when we forgot that there ever was one, as a control plane killed before it wrote that down
    await store.db
      .updateTable("suggestions")
      .set({ state: "open", pull_request: null, dismissed_reason: null })
      .where("id", "=", id)
      .execute();
    expect((await apply(id)).state).toBe("dismissed");
    expect(await pulls(branch)).toMatchObject([{ number: pullRequest!.number, state: "closed" }]);
  },
  limitMs,
);

test("started without a token it serves what is live, says what it cannot do, and refuses a new project", async () => {
  await platform.kill("SIGTERM");
  platform = await PlatformProcess.start(data);
  expect(await served()).toBe("4b");
  expect(platform.complaints.join("\n")).toContain("nothing new of shop is deployed");
  const asked = platform.client.call("projects.create", { name: "other", repository: location });
  await expect(asked).rejects.toMatchObject({
    code: "invalid_config",
    fix: expect.stringContaining("TSDEV_GITHUB_TOKEN"),
  });
}, 60_000);
