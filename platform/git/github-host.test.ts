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
import { createHash, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import type { Octokit } from "octokit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gitHostContract, type HostUnderTest } from "./git-host.contract.ts";
import { adasToken, freePort, type GitHubEmulator, startGitHubEmulator } from "./github-emulator.fixture.ts";
import { type GitHubHost, openGitHubHost } from "./github-host.ts";

let directory: string;
let emulator: GitHubEmulator;
let baseUrl: string;
let host: GitHubHost;
let ada: Octokit;
const files = { "src/a.ts": "export const a = 1;\n", "run.sh": "#!/bin/sh\necho 1\n" };
const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-github-"));
  emulator = await startGitHubEmulator([{ app_id: 7, private_key: privateKey, installation_id: 70 }]);
  ({ baseUrl, ada } = emulator);
  host = await openGitHubHost({
    credentials: { token: adasToken },
    baseUrl,
    directory: join(directory, "git"),
    throttle: false,
  });
});

afterAll(async () => {
  await emulator?.stop();
  await rm(directory, { recursive: true, force: true });
});

let repositories = 0;

async function seeded(): Promise<string> {
  const location = await emulator.createRepository(`shop-${++repositories}`);
  await emulator.commit(location, "main", files);
  return location;
}

gitHostContract(
  "GitHub host",
  async (): Promise<HostUnderTest> => ({
    host,
    repository: async () => ({ location: await seeded(), files }),
    commitByPerson: (location, branch, path, content) => emulator.commit(location, branch, { [path]: content }),
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

  test("a repository is found as GitHub spells it, with its default branch", async () => {
    const location = await seeded();
    expect(await host.repository(location)).toEqual({ location, defaultBranch: "main" });
    await expect(host.repository("ada/nope")).rejects.toMatchObject({ code: "not_found" });
  });

  test("an unchanged head is asked for by its ETag and taken from memory, a moved one is seen", async () => {
    const location = await seeded();
    // The emulator has no ETags: this stands before it and makes them of the bodies, as GitHub does.
    const statuses: number[] = [];
    const server = createServer(async (request, response) => {
      const answer = await fetch(`${baseUrl}${request.url}`, { headers: { authorization: `token ${adasToken}` } });
      const body = await answer.text();
      const etag = `"${createHash("sha256").update(body).digest("hex")}"`;
      const known = request.headers["if-none-match"] === etag;
      statuses.push(known ? 304 : answer.status);
      response.writeHead(known ? 304 : answer.status, { etag, "content-type": "application/json" });
      response.end(known ? undefined : body);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const asking = await openGitHubHost({
      credentials: { token: adasToken },
      baseUrl: `http://127.0.0.1:${port}`,
      directory: join(directory, "git"),
    });
    const head = await host.head(location, "main");
    expect(await asking.head(location, "main")).toBe(head);
    expect(await asking.head(location, "main")).toBe(head);
    const next = await emulator.commit(location, "main", { "src/a.ts": "export const a = 3;\n" });
    expect(await asking.head(location, "main")).toBe(next);
    expect(await asking.head(location, "main")).toBe(next);
    expect(statuses).toEqual([200, 304, 200, 304]);
    server.closeAllConnections();
    server.close();
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
