// The GitHub host against the `emulate` package's GitHub, an HTTP server of its own in a child process.
//
// What emulate 0.12.2 lacks, and how it is met here:
//
// | gap                                                            | here                                              |
// |----------------------------------------------------------------|---------------------------------------------------|
// | merge takes the head's tree whole: what the base gained is lost | that contract test is skipped (`mergesKeepBase`)  |
// | merge never conflicts                                          | skipped (`conflicts`); the refusal is tested below |
// | a pull request's head stays where it was when it was opened    | skipped for merge (`headFollowsBranch`); the host  |
// |                                                                | reads the branch for diff and touchedByOthers      |
// | a second open pull request for a branch is not refused         | the host asks one at a time and looks first        |
// | an unknown token is let in                                      | the refusal is tested against a server that does   |
// | no GraphQL, so a draft is made ready by REST                   | the host's own way for servers without GraphQL     |
// | no git protocol and no tarball                                 | checkout by trees and blobs; git is tested in      |
// |                                                                | smart-http.test.ts against our own server          |
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { Octokit } from "octokit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { gitHostContract, type HostUnderTest } from "./git-host.contract.ts";
import type { GitHost } from "./git-host.ts";
import { openGitHubHost } from "./github-host.ts";

let directory: string;
let emulator: ChildProcess;
let baseUrl: string;
let host: GitHost;
let ada: Octokit;
const token = "test_tsdev";
const files = { "src/a.ts": "export const a = 1;\n", "run.sh": "#!/bin/sh\necho 1\n" };
const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
});

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-github-"));
  const seed = {
    tokens: { [token]: { login: "ada", scopes: ["repo", "user"] } },
    github: {
      users: [{ login: "ada", name: "Ada", email: "ada@example.com" }],
      apps: [
        {
          app_id: 7,
          slug: "tsdev",
          name: "tsdev",
          private_key: privateKey,
          permissions: { contents: "write", pull_requests: "write", issues: "write" },
          installations: [{ installation_id: 70, account: "ada", repository_selection: "all" }],
        },
      ],
    },
  };
  await writeFile(join(directory, "seed.json"), JSON.stringify(seed));
  const port = await freePort();
  baseUrl = `http://127.0.0.1:${port}`;
  const main = import.meta.resolve("emulate").replace(/api\.js$/, "index.js");
  emulator = spawn(
    process.execPath,
    [new URL(main).pathname, "start", "--service", "github", "--port", String(port), "--seed", "seed.json"],
    { cwd: directory, stdio: "ignore" },
  );
  await vi.waitFor(async () => expect((await fetch(`${baseUrl}/zen`)).ok).toBe(true), { timeout: 30_000 });
  host = await openGitHubHost({
    credentials: { token },
    baseUrl,
    directory: join(directory, "git"),
    throttle: false,
  });
  ada = new Octokit({ auth: token, baseUrl, throttle: { enabled: false } });
});

afterAll(async () => {
  if (emulator && emulator.exitCode === null) {
    emulator.kill("SIGKILL");
    await once(emulator, "exit");
  }
  await rm(directory, { recursive: true, force: true });
});

let repositories = 0;

/** A commit by Ada through the API, over the branch's head. */
async function commitByPerson(location: string, branch: string, changes: Record<string, string>): Promise<string> {
  const [owner, repo] = location.split("/") as [string, string];
  const ref = await ada.rest.git.getRef({ owner, repo, ref: `heads/${branch}` });
  const parent = ref.data.object.sha;
  const tree = await ada.rest.git.createTree({
    owner,
    repo,
    base_tree: (await ada.rest.git.getCommit({ owner, repo, commit_sha: parent })).data.tree.sha,
    tree: Object.entries(changes).map(([path, content]) => ({
      path,
      content,
      mode: path.endsWith(".sh") ? ("100755" as const) : ("100644" as const),
      type: "blob" as const,
    })),
  });
  const commit = await ada.rest.git.createCommit({
    owner,
    repo,
    message: "by Ada",
    tree: tree.data.sha,
    parents: [parent],
    author: { name: "Ada", email: "ada@example.com" },
  });
  await ada.rest.git.updateRef({ owner, repo, ref: `heads/${branch}`, sha: commit.data.sha });
  return commit.data.sha;
}

async function seeded(): Promise<string> {
  const name = `shop-${++repositories}`;
  await ada.rest.repos.createForAuthenticatedUser({ name, auto_init: true });
  await commitByPerson(`ada/${name}`, "main", files);
  return `ada/${name}`;
}

gitHostContract(
  "GitHub host",
  async (): Promise<HostUnderTest> => ({
    host,
    repository: async () => ({ location: await seeded(), files }),
    commitByPerson: (location, branch, path, content) => commitByPerson(location, branch, { [path]: content }),
  }),
  { mergesKeepBase: false, conflicts: false, headFollowsBranch: false },
);

describe("GitHub host, beyond the contract", () => {
  const request = { title: "T", body: "B", head: "tsdev/x/1", base: "main", draft: false };

  test("an installation of an App may do the same", async () => {
    const location = await seeded();
    const app = await openGitHubHost({
      credentials: { appId: 7, privateKey, installationId: 70 },
      baseUrl,
      directory: join(directory, "git"),
      throttle: false,
    });
    const base = (await app.head(location, "main")) as string;
    await app.commit(location, { branch: "tsdev/x/1", base, message: "m", files: [{ path: "x", content: "x" }] });
    const pull = await app.openPullRequest(location, request);
    await app.comment(location, pull.number, { key: "k", body: "hello" });
    expect(await app.merge(location, pull.number)).toBe(await app.head(location, "main"));
  });

  test("a comment's key is in its text on GitHub and not in what we show", async () => {
    const location = await seeded();
    const base = (await host.head(location, "main")) as string;
    await host.commit(location, { branch: "tsdev/x/1", base, message: "m", files: [{ path: "x", content: "x" }] });
    const pull = await host.openPullRequest(location, request);
    await host.comment(location, pull.number, { key: "verdict:1", body: "held" });
    const { data } = await ada.rest.issues.listComments({
      owner: "ada",
      repo: location.split("/")[1] as string,
      issue_number: pull.number,
    });
    expect(data.map((comment) => comment.body)).toEqual(["held\n\n<!-- tsdev:verdict%3A1 -->"]);
    expect((await host.comments(location, pull.number)).map((comment) => comment.body)).toEqual(["held"]);
  });

  test("what GitHub refuses to merge is a conflict with its reason", async () => {
    const location = await seeded();
    const [owner, repo] = location.split("/") as [string, string];
    const base = (await host.head(location, "main")) as string;
    await host.commit(location, { branch: "tsdev/x/1", base, message: "m", files: [{ path: "x", content: "x" }] });
    const pull = await host.openPullRequest(location, request);
    await ada.rest.repos.updateBranchProtection({
      owner,
      repo,
      branch: "main",
      required_status_checks: { strict: true, contexts: ["ci"] },
      enforce_admins: true,
      required_pull_request_reviews: null,
      restrictions: null,
    });
    await expect(host.merge(location, pull.number)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("status checks"),
    });
    expect(await host.head(location, "main")).toBe(base);
  });

  test("a repository that is not there, a bad token and a dead server say so, without the token", async () => {
    await expect(host.branches("ada/nope")).rejects.toMatchObject({ code: "not_found" });
    await expect(host.head("ada/../x", "main")).rejects.toMatchObject({ code: "invalid_input", path: "location" });
    const secret = "ghp_0123456789abcdefghij";
    const opened = { directory: join(directory, "git"), throttle: false, credentials: { token: secret } };
    // The words and the status of GitHub for a token that it does not know.
    const strict = createServer((_request, response) => {
      response
        .writeHead(401, { "content-type": "application/json" })
        .end(JSON.stringify({ message: "Bad credentials" }));
    }).listen(0, "127.0.0.1");
    await once(strict, "listening");
    const { port } = strict.address() as AddressInfo;
    const wrong = await openGitHubHost({ ...opened, baseUrl: `http://127.0.0.1:${port}` });
    const refused = await wrong.branches("ada/shop").catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "unauthenticated", message: expect.stringContaining("Bad credentials") });
    expect(inspect(refused, { depth: 10 })).not.toContain(secret);
    strict.close();
    const dead = await openGitHubHost({ ...opened, baseUrl: `http://127.0.0.1:${await freePort()}` });
    await expect(dead.head("ada/shop", "main")).rejects.toMatchObject({ code: "unavailable" });
  }, 120_000);
});
