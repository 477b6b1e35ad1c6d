// Git push: sends a folder as it is to the platform's Git host, as the commit it is or as a snapshot.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { TsdevError } from "../sdk/errors.ts";
import type { Address } from "./client.ts";

/** Never pushed, whatever the folder's own rules say: dependencies, and the data of a platform (its keys too) or a link. */
const neverPushed = ["node_modules/", ".tsdev/"];

export interface Pushed {
  commit: string;
  /** False when the branch was there already. */
  moved: boolean;
}

export interface PushOptions {
  /** The commit that this folder pushed to the branch last, where that is known. */
  lastPushed?: string | undefined;
  /** Push a snapshot also over commits that this folder does not have. */
  overwrite: boolean;
}

/**
 * Pushes HEAD of a clean work tree; a folder with changes, or without a repository, is pushed as a snapshot commit on top
 * of what the platform has. The user's own branches and index are not touched. Throws `git_rejected`, also for a snapshot
 * that would undo what was merged on the platform since this folder's last push.
 */
export async function pushFolder(
  folder: string,
  remote: string,
  branch: string,
  address: Address,
  options: PushOptions = { overwrite: false },
): Promise<Pushed> {
  const scratch = await mkdtemp(join(tmpdir(), "tsdev-push-"));
  try {
    const auth = {
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_COUNT: "1",
      // for this address alone: a server that it redirects to does not get the token
      GIT_CONFIG_KEY_0: `http.${new URL(remote).origin}/.extraHeader`,
      GIT_CONFIG_VALUE_0: `Authorization: Bearer ${address.token}`,
    };
    const top = await git(["rev-parse", "--show-toplevel"], folder).catch(() => null);
    const prefix = top === null ? "" : (await git(["rev-parse", "--show-prefix"], folder)).stdout;
    const clean = top !== null && prefix === "" && (await git(["status", "--porcelain"], folder)).stdout === "";
    const born = clean && (await execa("git", ["rev-parse", "--verify", "HEAD"], { cwd: folder, reject: false }));
    const head = born && born.exitCode === 0 ? born.stdout : null;
    const repository = head ? folder : scratch;
    const commit = head ?? (await snapshot(folder, scratch, remote, branch, auth, options));
    const pushed = await execa(
      "git",
      ["push", "--porcelain", "--no-verify", remote, `${commit}:refs/heads/${branch}`],
      {
        cwd: repository,
        env: auth,
        reject: false,
      },
    );
    if (pushed.exitCode !== 0) {
      const text = `${pushed.stdout}\n${pushed.stderr}`;
      const behind = /non-fast-forward|fetch first/.test(text);
      if (behind) throw behindError(remote, branch, "");
      throw new TsdevError("git_rejected", {
        message: `git push failed: ${lastLine(text)}`,
        fix: "check the address, the token and the branch's name",
      });
    }
    return { commit, moved: !/up to date/i.test(pushed.stdout) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function snapshot(
  folder: string,
  scratch: string,
  remote: string,
  branch: string,
  auth: Record<string, string>,
  { lastPushed, overwrite }: PushOptions,
): Promise<string> {
  await git(["init", "--quiet"], scratch);
  const work = [`--git-dir=${join(scratch, ".git")}`, `--work-tree=${folder}`];
  const identity = {
    GIT_AUTHOR_NAME: "tsdev deploy",
    GIT_AUTHOR_EMAIL: "deploy@localhost",
    GIT_COMMITTER_NAME: "tsdev deploy",
    GIT_COMMITTER_EMAIL: "deploy@localhost",
  };
  const parent = await execa("git", ["fetch", "--quiet", "--depth=1", remote, branch], {
    cwd: scratch,
    env: auth,
    reject: false,
  });
  const parents = parent.exitCode === 0 ? ["-p", (await git(["rev-parse", "FETCH_HEAD"], scratch)).stdout] : [];
  const exclude = [...neverPushed, ...(await ignoredAbove(folder))];
  await writeFile(join(scratch, ".git/info/exclude"), `${exclude.join("\n")}\n`);
  await git([...work, "add", "--all", "--", "."], folder);
  const tree = (await git([...work, "write-tree"], folder)).stdout;
  const before = parents[1] ? (await git(["rev-parse", `${parents[1]}^{tree}`], scratch)).stdout : null;
  if (parents[1] && before === tree) return parents[1];
  if (parents[1] && lastPushed && parents[1] !== lastPushed && !overwrite && !(await has(folder, parents[1]))) {
    throw behindError(remote, branch, ", or give --overwrite to replace them by what is here");
  }
  return (
    await git(
      [...work, "commit-tree", tree, ...parents, "-m", "Snapshot of the folder by tsdev deploy"],
      folder,
      identity,
    )
  ).stdout;
}

/** What the rules of the repository around the folder leave out, as patterns: a snapshot sees only the folder's own rules. */
async function ignoredAbove(folder: string): Promise<string[]> {
  const { exitCode, stdout } = await execa(
    "git",
    ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"],
    { cwd: folder, reject: false },
  );
  if (exitCode !== 0) return [];
  const paths = stdout.split("\0").filter((path) => path !== "" && !path.includes("\n"));
  return paths.map((path) => `/${path.replace(/[\\*?[\]!# ]/g, "\\$&")}`);
}

/** True when the folder's own history contains the commit. */
async function has(folder: string, commit: string): Promise<boolean> {
  const { exitCode } = await execa("git", ["merge-base", "--is-ancestor", commit, "HEAD"], {
    cwd: folder,
    reject: false,
  });
  return exitCode === 0;
}

function behindError(remote: string, branch: string, orElse: string): TsdevError {
  return new TsdevError("git_rejected", {
    message: `${branch} on the platform has commits that this folder has not; a pull request may have been merged there`,
    fix: `take them over with \`git pull ${remote} ${branch}\` (the password is your token)${orElse}`,
  });
}

async function git(args: string[], cwd: string, env: Record<string, string> = {}): Promise<{ stdout: string }> {
  return execa("git", args, { cwd, env: { ...env, GIT_TERMINAL_PROMPT: "0" } });
}

const lastLine = (text: string) =>
  text
    .trim()
    .split("\n")
    .findLast((line) => /error|fatal|rejected|remote:/.test(line)) ?? text.trim();
