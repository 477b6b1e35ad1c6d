// Pushing a folder to a real Git server over HTTP: clean, dirty, part of a repository, without one, and behind.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { Hono } from "hono";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Listening, listen } from "../platform/control-plane/listen.ts";
import { pushFolder } from "./git-push.ts";

let directory: string;
let folder: string;
let server: Listening;
let bare: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-cli-"));
  folder = join(directory, "app");
  bare = join(directory, "app.git");
  await mkdir(folder);
  await execa("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
  await execa("git", ["config", "http.receivepack", "true"], { cwd: bare });
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const git = (cwd: string, ...args: string[]) =>
  execa("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...args], { cwd }).then(({ stdout }) => stdout);
async function put(files: Record<string, string>, where = folder): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(where, path)), { recursive: true });
    await writeFile(join(where, path), text);
  }
}
async function repository(where = folder): Promise<void> {
  await git(where, "init", "--quiet", "--initial-branch=work");
  await git(where, "add", "--all");
  await git(where, "commit", "--quiet", "-m", "first");
}
const remote = () => `file://${bare}`;
const push = (options = { overwrite: false }) =>
  pushFolder(folder, remote(), "main", { url: "http://localhost:1", token: "tsd_x" }, options);
const pushedFiles = async () => (await git(bare, "ls-tree", "-r", "--name-only", "main")).split("\n");

test("a clean repository is pushed as the commit it is, and pushing again moves nothing", async () => {
  await put({ "main.js": "1" });
  await repository();
  const head = await git(folder, "rev-parse", "HEAD");
  expect(await push()).toEqual({ commit: head, moved: true });
  expect(await push()).toEqual({ commit: head, moved: false });
  expect(await git(bare, "rev-parse", "main")).toBe(head);
});

describe("as a snapshot is pushed", () => {
  test("a folder without a repository; the same content is the same commit", async () => {
    await put({ "main.js": "1", "node_modules/a/index.js": "", "packages/b/node_modules/c/index.js": "" });
    const { commit } = await push();
    expect(await pushedFiles()).toEqual(["main.js"]);
    expect(await push()).toEqual({ commit, moved: false });
    await put({ "main.js": "2" });
    expect((await push()).commit).not.toBe(commit);
    expect(await git(bare, "rev-parse", "main^")).toBe(commit);
  });

  test("never the platform's own data, also where .gitignore names node_modules alone", async () => {
    await put({
      ".gitignore": "node_modules/\n",
      "main.js": "1",
      ".tsdev/owner-token": "tsd_secret",
      "node_modules/a.js": "",
    });
    await push();
    expect(await pushedFiles()).toEqual([".gitignore", "main.js"]);
  });

  test("a repository with changes, whose branches and index stay as they are", async () => {
    await put({ "main.js": "1", ".gitignore": "*.log\n" });
    await repository();
    const before = await git(folder, "rev-parse", "HEAD");
    await put({ "main.js": "2", "new.js": "3", "debug.log": "x" });
    const status = await git(folder, "status", "--porcelain");
    await push();
    expect(await pushedFiles()).toEqual([".gitignore", "main.js", "new.js"]);
    expect(await git(folder, "rev-parse", "HEAD")).toBe(before);
    expect(await git(folder, "status", "--porcelain")).toBe(status);
  });

  test("a folder of a larger repository, without what that one ignores", async () => {
    await put({ ".gitignore": "*.log\napp/private file.txt\n.env\n", "other/x.js": "" }, directory);
    await put({ "main.js": "1" });
    await repository(directory);
    await put({ "debug.log": "x", "private file.txt": "x", ".env": "KEY=1", "sub/deep.log": "x", "sub/kept.js": "x" });
    await push();
    expect(await pushedFiles()).toEqual(["main.js", "sub/kept.js"]);
  });

  test("a repository without a commit yet", async () => {
    await git(folder, "init", "--quiet");
    await put({ "main.js": "1" });
    await push();
    expect(await pushedFiles()).toEqual(["main.js"]);
  });
});

test("a folder that is behind the platform is refused, saying how to take over what is there", async () => {
  await put({ "main.js": "1" });
  await repository();
  await push();
  const other = join(directory, "other");
  await git(directory, "clone", "--quiet", bare, other);
  await put({ "more.js": "1" }, other);
  await git(other, "add", "--all");
  await git(other, "commit", "--quiet", "-m", "merged there");
  await git(other, "push", "--quiet");
  await put({ "main.js": "2" });
  await git(folder, "commit", "--quiet", "--all", "-m", "here");
  await expect(push()).rejects.toMatchObject({ code: "git_rejected", fix: expect.stringContaining("git pull") });
});

test("the token is sent to the platform's address, and never on the command line or to another place", async () => {
  const seen: string[] = [];
  const app = new Hono().all("*", (c) => {
    seen.push(c.req.header("authorization") ?? "none");
    return c.redirect(`${elsewhere.url}${c.req.path}?service=git-receive-pack`);
  });
  const elsewhere = await listen(
    new Hono().all("*", (c) => {
      seen.push(`elsewhere ${c.req.header("authorization") ?? "none"}`);
      return c.text("no", 404);
    }),
    { port: 0 },
  );
  server = await listen(app, { port: 0 });
  try {
    await put({ "main.js": "1" });
    await repository();
    const address = { url: server.url, token: "tsd_x" };
    await expect(pushFolder(folder, `${server.url}/git/app.git`, "main", address)).rejects.toMatchObject({
      code: "git_rejected",
    });
    expect(seen[0]).toBe("Bearer tsd_x");
    expect(seen.slice(1).join()).not.toContain("tsd_x");
  } finally {
    await server.close();
    await elsewhere.close();
  }
});
