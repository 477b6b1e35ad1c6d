// One bare repository on disk, read and written by git's plumbing alone: no work tree, no hooks, compare-and-swap on every ref.
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { nanoid } from "nanoid";
import { TsdevError } from "../../sdk/errors.ts";
import type { GitCommand, GitRun } from "./git-command.ts";
import type { CommitDescription, CommitOnBranch } from "./git-host.ts";
import { branchName, commitHash, filePath, ourIdentity } from "./git-names.ts";
import { removeStaleLocks } from "./stale-files.ts";

const zero = "0".repeat(40);
/** A branch that many write at once is tried again this often before the caller hears of it. */
const attempts = 20;

export interface BareRepository {
  readonly path: string;
  /** The commit a full ref name such as `refs/heads/main` points at, or null. */
  resolve(ref: string): Promise<string | null>;
  branches(): Promise<{ name: string; commit: string }[]>;
  commit(change: CommitOnBranch): Promise<string>;
  file(commit: string, path: string): Promise<string | null>;
  exists(commit: string): Promise<boolean>;
  isAncestor(ancestor: string, descendant: string): Promise<boolean>;
  /** Unified diff from the merge base of the two to `head`. */
  diff(base: string, head: string): Promise<string>;
  /** E-mail addresses of the authors of the commits that `head` has and `base` lacks. */
  authors(base: string, head: string): Promise<string[]>;
  describe(commit: string): Promise<CommitDescription | null>;
  /** The commit by which `head` came into `base`: the merge that has it as second parent, else `head` itself. */
  mergeOf(head: string, base: string): Promise<string>;
  /** A merge commit of `head` into `base`, put on no branch yet; the conflicting paths where there is none. */
  mergeCommit(
    base: string,
    head: string,
    message: string,
  ): Promise<{ ok: true; commit: string } | { ok: false; conflicts: string[] }>;
  /** Moves a ref if it is still at `expected` (null: absent); false where it is not. */
  move(ref: string, to: string, expected: string | null): Promise<boolean>;
  /** Moves a ref wherever it is. */
  put(ref: string, to: string): Promise<void>;
  remove(ref: string): Promise<void>;
  checkout(commit: string, folder: string): Promise<void>;
}

export function bareRepository(git: GitCommand, path: string): BareRepository {
  const run = (args: string[], options?: GitRun) => git.run([`--git-dir=${path}`, ...args], options);
  const line = async (args: string[], options?: GitRun) => (await run(args, options)).stdout.trim();

  async function resolve(ref: string): Promise<string | null> {
    const { exitCode, stdout } = await run(["rev-parse", "--verify", "--quiet", `${ref}^{commit}`], {
      accept: [1, 128],
    });
    return exitCode === 0 ? stdout.trim() : null;
  }

  async function exists(commit: string): Promise<boolean> {
    return (await resolve(commitHash(commit))) !== null;
  }

  async function isAncestor(ancestor: string, descendant: string): Promise<boolean> {
    // 128: one of the two is not a commit here, so it is in no history here.
    return (await run(["merge-base", "--is-ancestor", ancestor, descendant], { accept: [1, 128] })).exitCode === 0;
  }

  async function move(ref: string, to: string, expected: string | null): Promise<boolean> {
    try {
      await run(["update-ref", "--no-deref", "-m", "tsdev", ref, to, expected ?? zero]);
      return true;
    } catch (error) {
      // Lost to another writer, or the writer is just at it: the ref is not where we thought, or its lock is held.
      if (!TsdevError.is(error) || !/cannot lock ref|is at .* but expected|already exists/.test(error.message))
        throw error;
      await removeStaleLocks(path);
      return false;
    }
  }

  /** The tree of `parent` with the given files in place, each keeping its executable bit. */
  async function treeWith(parent: string, files: CommitOnBranch["files"]): Promise<string> {
    const modes = new Map<string, string>();
    const listed = await run(["ls-tree", "-z", parent, "--", ...files.map((file) => file.path)]);
    for (const entry of listed.stdout.split("\0")) {
      const match = /^(\d+) \w+ [0-9a-f]+\t(.*)$/s.exec(entry);
      if (match) modes.set(match[2] as string, match[1] as string);
    }
    const index = join(git.scratch, `index-${nanoid()}`);
    const env = { GIT_INDEX_FILE: index };
    try {
      await run(["read-tree", parent], { env });
      const entries: string[] = [];
      for (const file of files) {
        const mode = modes.get(file.path);
        if (mode === "120000" || mode === "160000") {
          throw new TsdevError("conflict", {
            message: `${file.path} is a ${mode === "120000" ? "symbolic link" : "submodule"}, not a file`,
            fix: "change the file that it points to",
            path: file.path,
          });
        }
        const blob = await line(["hash-object", "-w", "--stdin"], { input: file.content });
        entries.push(`${mode === "100755" ? mode : "100644"} ${blob}\t${file.path}\0`);
      }
      await run(["update-index", "-z", "--index-info"], { env, input: entries.join("") });
      return await line(["write-tree"], { env });
    } finally {
      await rm(index, { force: true });
      await rm(`${index}.lock`, { force: true });
    }
  }

  /** A commit of ours over `parent`; its dates are the parent's, so the same change gives the same hash at any time. */
  async function commitTree(tree: string, parent: string, message: string): Promise<string> {
    const date = `${await line(["show", "-s", "--format=%ct", parent])} +0000`;
    return await line(["commit-tree", tree, "-p", parent, "-F", "-"], { input: message, env: identity(date) });
  }

  return {
    path,
    resolve,
    exists,
    isAncestor,
    move,

    async branches() {
      const { stdout } = await run(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/"]);
      return stdout
        .split("\n")
        .filter(Boolean)
        .map((row) => ({ commit: row.slice(0, 40), name: row.slice(41 + "refs/heads/".length) }));
    },

    async commit(change) {
      const ref = `refs/heads/${branchName(change.branch)}`;
      for (const file of change.files) filePath(file.path);
      if (!(await exists(change.base))) {
        throw new TsdevError("not_found", {
          message: `no commit ${change.base} in this repository`,
          fix: "push it first, or start from a commit that is on a branch",
          path: "base",
        });
      }
      const fresh = await commitTree(await treeWith(change.base, change.files), change.base, change.message);
      for (let attempt = 0; attempt < attempts; attempt++) {
        const head = await resolve(ref);
        // A repeat: the commit is there already, perhaps with a person's commits on top.
        if (head !== null && (await isAncestor(fresh, head))) return fresh;
        if (head === null || head === change.base) {
          if (await move(ref, fresh, head)) return fresh;
          continue;
        }
        const tree = await treeWith(head, change.files);
        if (tree === (await line(["rev-parse", "--verify", `${head}^{tree}`]))) return head;
        const next = await commitTree(tree, head, change.message);
        if (await move(ref, next, head)) return next;
      }
      throw busy(change.branch);
    },

    async file(commit, file) {
      const spec = `${commitHash(commit)}:${filePath(file)}`;
      const type = await run(["cat-file", "-t", spec], { accept: [1, 128] });
      if (type.exitCode !== 0 || type.stdout.trim() !== "blob") return null;
      return (await run(["cat-file", "blob", spec])).stdout;
    },

    async diff(base, head) {
      return (
        await run(["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", `${base}...${head}`, "--"])
      ).stdout;
    },

    async authors(base, head) {
      const out = await line(["log", "--format=%ae", `${base}..${head}`, "--"]);
      return out === "" ? [] : [...new Set(out.split("\n"))];
    },

    async describe(commit) {
      if (!(await exists(commit))) return null;
      const [parents = "", author = "", subject = ""] = (
        await run(["show", "-s", "--format=%P%x00%ae%x00%s", "--no-show-signature", commit])
      ).stdout
        .trimEnd()
        .split("\0");
      return { parents: parents.split(" ").filter(Boolean), author, subject };
    },

    async mergeOf(head, base) {
      const rows = (await line(["rev-list", "--parents", "--merges", "--first-parent", `${head}..${base}`])).split(
        "\n",
      );
      for (const row of rows) {
        const [commit, , ...others] = row.split(" ");
        if (commit && others.includes(head)) return commit;
      }
      return head;
    },

    async mergeCommit(base, head, message) {
      const merged = await run(
        ["merge-tree", "--write-tree", "--no-messages", "--name-only", "--allow-unrelated-histories", base, head],
        { accept: [1] },
      );
      const [tree = "", ...conflicts] = merged.stdout.split("\n").filter(Boolean);
      if (merged.exitCode === 1) return { ok: false, conflicts };
      const now = `${Math.floor(Date.now() / 1000)} +0000`;
      const commit = await line(["commit-tree", tree, "-p", base, "-p", head, "-F", "-"], {
        input: message,
        env: identity(now),
      });
      return { ok: true, commit };
    },

    async put(ref, to) {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const at = await resolve(ref);
        if (at === to || (await move(ref, to, at))) return;
      }
      throw busy(ref);
    },

    async remove(ref) {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const at = await resolve(ref);
        if (at === null) return;
        try {
          await run(["update-ref", "--no-deref", "-d", ref, at]);
          return;
        } catch (error) {
          if (!(TsdevError.is(error) && /cannot lock ref/.test(error.message))) throw error;
          await removeStaleLocks(path);
        }
      }
      throw busy(ref);
    },

    async checkout(commit, folder) {
      if (!(await exists(commit))) {
        throw new TsdevError("not_found", {
          message: `no commit ${commit} in this repository`,
          fix: "push it first",
          path: "commit",
        });
      }
      await checkoutTree(git, path, commit, folder);
    },
  };
}

/** The commit's files in `folder`, which is either whole or not there, also when we are killed in the middle. */
export async function checkoutTree(git: GitCommand, gitDir: string, commit: string, folder: string): Promise<void> {
  const there = await readdir(folder).catch(() => []);
  if (there.length > 0) {
    throw new TsdevError("conflict", { message: `${folder} is not empty`, fix: "give an empty or absent folder" });
  }
  const parent = dirname(folder);
  const partial = join(parent, `.${basename(folder)}-${nanoid(8)}.partial`);
  const index = join(git.scratch, `index-${nanoid()}`);
  const env = { GIT_INDEX_FILE: index };
  await mkdir(partial, { recursive: true });
  try {
    await git.run([`--git-dir=${gitDir}`, "read-tree", commit], { env });
    await git.run([`--git-dir=${gitDir}`, `--work-tree=${partial}`, "checkout-index", "--all", "--force", "--quiet"], {
      env,
      cwd: partial,
    });
    await rename(partial, folder);
  } finally {
    await rm(index, { force: true });
    await rm(partial, { recursive: true, force: true });
  }
}

function identity(date: string): Record<string, string> {
  return {
    GIT_AUTHOR_NAME: ourIdentity.name,
    GIT_AUTHOR_EMAIL: ourIdentity.email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: ourIdentity.name,
    GIT_COMMITTER_EMAIL: ourIdentity.email,
    GIT_COMMITTER_DATE: date,
  };
}

function busy(ref: string): TsdevError {
  return new TsdevError("conflict", {
    message: `${ref} was moved by others each time we tried`,
    fix: "ask again in a moment",
  });
}
