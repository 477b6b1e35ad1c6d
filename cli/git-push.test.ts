// Git push: what a folder becomes on the platform, and that a snapshot does not undo what was merged there.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pushFolder } from "./git-push.ts";

const address = { url: "http://localhost", token: "unused" };
const author = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com"];

let root: string;
let remote: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "tsdev-push-test-"));
  remote = join(root, "remote.git");
  folder = join(root, "app");
  await execa("git", ["init", "--quiet", "--bare", "--initial-branch=main", remote]);
  await mkdir(folder);
  await writeFile(join(folder, "server.js"), "1\n");
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A pull request's merge: a commit that the folder does not have. */
async function mergeOnThePlatform(): Promise<void> {
  const clone = join(root, "clone");
  await execa("git", ["clone", "--quiet", remote, clone]);
  await writeFile(join(clone, "server.js"), "better\n");
  await execa("git", [...author, "commit", "--quiet", "--all", "-m", "Merge"], { cwd: clone });
  await execa("git", ["push", "--quiet", "origin", "main"], { cwd: clone });
}

const onPlatform = async () => (await execa("git", ["show", "main:server.js"], { cwd: remote })).stdout;

test("a folder without a repository is pushed as a snapshot, and the same folder again moves nothing", async () => {
  const first = await pushFolder(folder, remote, "main", address);
  expect(first.moved).toBe(true);
  const again = await pushFolder(folder, remote, "main", address, { lastPushed: first.commit, overwrite: false });
  expect(again).toEqual({ commit: first.commit, moved: false });
});

test("a snapshot does not undo what was merged on the platform unless it is told to", async () => {
  const { commit } = await pushFolder(folder, remote, "main", address);
  await mergeOnThePlatform();
  await writeFile(join(folder, "server.js"), "2\n");
  const pushing = pushFolder(folder, remote, "main", address, { lastPushed: commit, overwrite: false });
  await expect(pushing).rejects.toMatchObject({ code: "git_rejected", fix: expect.stringContaining("--overwrite") });
  expect(await onPlatform()).toBe("better");
  await pushFolder(folder, remote, "main", address, { lastPushed: commit, overwrite: true });
  expect(await onPlatform()).toBe("2");
});

test("a repository with uncommitted changes that has pulled the merge is pushed", async () => {
  const { commit } = await pushFolder(folder, remote, "main", address);
  await mergeOnThePlatform();
  const own = join(root, "own");
  await execa("git", ["clone", "--quiet", remote, own]);
  await writeFile(join(own, "server.js"), "better, and more\n");
  await pushFolder(own, remote, "main", address, { lastPushed: commit, overwrite: false });
  expect(await onPlatform()).toBe("better, and more");
});
