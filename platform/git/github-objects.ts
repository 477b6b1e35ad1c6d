// Commits, trees and files of a repository on GitHub through its git data API.
import { chmod, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { nanoid } from "nanoid";
import type { Octokit } from "octokit";
import { TsdevError } from "../../sdk/errors.ts";
import type { CommitOnBranch } from "./git-host.ts";
import { filePath, ourIdentity } from "./git-names.ts";
import { orNull, statusOf } from "./github-client.ts";

export interface RepositoryName {
  owner: string;
  repo: string;
}

interface Entry {
  path: string;
  mode: string;
  type: string;
  sha: string;
}

/** Requests that one checkout has open at the same time. */
const parallelDownloads = 8;

async function tree(octokit: Octokit, name: RepositoryName, sha: string): Promise<Entry[]> {
  const { data } = await octokit.rest.git.getTree({ ...name, tree_sha: sha });
  return data.tree as Entry[];
}

export async function commitOf(octokit: Octokit, name: RepositoryName, sha: string) {
  const answer = await orNull(octokit.rest.git.getCommit({ ...name, commit_sha: sha }));
  return answer?.data ?? null;
}

/** The entry at a path, found folder by folder: a recursive listing is cut off in a large repository. */
async function entryAt(octokit: Octokit, name: RepositoryName, root: string, path: string): Promise<Entry | null> {
  const parts = path.split("/");
  let at = root;
  for (const [index, part] of parts.entries()) {
    const entry = (await tree(octokit, name, at)).find((candidate) => candidate.path === part);
    if (!entry) return null;
    if (index === parts.length - 1) return entry;
    if (entry.type !== "tree") return null;
    at = entry.sha;
  }
  return null;
}

async function blob(octokit: Octokit, name: RepositoryName, sha: string): Promise<Buffer> {
  const { data } = await octokit.rest.git.getBlob({ ...name, file_sha: sha });
  return Buffer.from(data.content, data.encoding === "base64" ? "base64" : "utf8");
}

export async function fileAt(
  octokit: Octokit,
  name: RepositoryName,
  commit: string,
  path: string,
): Promise<string | null> {
  const found = await commitOf(octokit, name, commit);
  if (found === null) return null;
  const entry = await entryAt(octokit, name, found.tree.sha, path);
  if (entry?.type !== "blob") return null;
  return (await blob(octokit, name, entry.sha)).toString("utf8");
}

/** A commit with the files over `parent`, on no branch yet. Its dates are the parent's: the same change, the same hash. */
export async function commitOver(
  octokit: Octokit,
  name: RepositoryName,
  parent: string,
  change: CommitOnBranch,
): Promise<{ commit: string; changed: boolean }> {
  const base = await commitOf(octokit, name, parent);
  if (base === null) {
    throw new TsdevError("not_found", {
      message: `no commit ${parent} in ${name.owner}/${name.repo}`,
      fix: "push it first, or start from a commit that is on a branch",
      path: "base",
    });
  }
  const entries = [];
  for (const file of change.files) {
    const there = await entryAt(octokit, name, base.tree.sha, file.path);
    if (there && (there.type !== "blob" || there.mode === "120000")) {
      throw new TsdevError("conflict", {
        message: `${file.path} is not a plain file`,
        fix: "change the file that it points to",
        path: file.path,
      });
    }
    const mode = there?.mode === "100755" ? ("100755" as const) : ("100644" as const);
    entries.push({ path: file.path, mode, type: "blob" as const, content: file.content });
  }
  const { data: made } = await octokit.rest.git.createTree({ ...name, base_tree: base.tree.sha, tree: entries });
  const who = { ...ourIdentity, date: base.committer.date };
  const { data } = await octokit.rest.git.createCommit({
    ...name,
    message: change.message,
    tree: made.sha,
    parents: [parent],
    author: who,
    committer: who,
  });
  return { commit: data.sha, changed: made.sha !== base.tree.sha };
}

export async function headOfBranch(octokit: Octokit, name: RepositoryName, branch: string): Promise<string | null> {
  try {
    const answer = await orNull(octokit.rest.git.getRef({ ...name, ref: `heads/${branch}` }));
    return answer?.data.object.sha ?? null;
  } catch (error) {
    // What GitHub says of a repository without a commit.
    if (statusOf(error) === 409) return null;
    throw error;
  }
}

/** True when `commit` is `descendant` or in its history. */
export async function isAncestor(
  octokit: Octokit,
  name: RepositoryName,
  commit: string,
  descendant: string,
): Promise<boolean> {
  if (commit === descendant) return true;
  const answer = await orNull(
    octokit.rest.repos.compareCommitsWithBasehead({ ...name, basehead: `${commit}...${descendant}`, per_page: 1 }),
  );
  return answer !== null && (answer.data.status === "ahead" || answer.data.status === "identical");
}

/** Moves a branch from `from` (null: makes it) forward to `to`; false where another moved it first. */
export async function moveBranch(
  octokit: Octokit,
  name: RepositoryName,
  branch: string,
  from: string | null,
  to: string,
): Promise<boolean> {
  try {
    if (from === null) await octokit.rest.git.createRef({ ...name, ref: `refs/heads/${branch}`, sha: to });
    // Without force GitHub refuses what is not a fast-forward, so nobody's commit is lost.
    else await octokit.rest.git.updateRef({ ...name, ref: `heads/${branch}`, sha: to, force: false });
    return true;
  } catch (error) {
    const status = statusOf(error);
    if (status === 422 || status === 409 || (status === 404 && from !== null)) return false;
    throw error;
  }
}

/** The commit's files in `folder`, whole or not at all, one download a file. */
export async function download(octokit: Octokit, name: RepositoryName, commit: string, folder: string): Promise<void> {
  const found = await commitOf(octokit, name, commit);
  if (found === null) {
    throw new TsdevError("not_found", {
      message: `no commit ${commit} in ${name.owner}/${name.repo}`,
      fix: "push it first",
      path: "commit",
    });
  }
  if ((await readdir(folder).catch(() => [])).length > 0) {
    throw new TsdevError("conflict", { message: `${folder} is not empty`, fix: "give an empty or absent folder" });
  }
  const partial = join(dirname(folder), `.${basename(folder)}-${nanoid(8)}.partial`);
  await mkdir(partial, { recursive: true });
  try {
    const files: Entry[] = [];
    const walk = async (sha: string, prefix: string): Promise<void> => {
      for (const entry of await tree(octokit, name, sha)) {
        const path = filePath(prefix + entry.path);
        if (entry.type === "blob") files.push({ ...entry, path });
        if (entry.type !== "tree") continue;
        await mkdir(join(partial, path));
        await walk(entry.sha, `${path}/`);
      }
    };
    await walk(found.tree.sha, "");
    // Links last: a file is never written through one.
    const plain = files.filter((file) => file.mode !== "120000");
    const links = files.filter((file) => file.mode === "120000");
    const next = plain.values();
    const worker = async (): Promise<void> => {
      for (const file of next) {
        await writeFile(join(partial, file.path), await blob(octokit, name, file.sha));
        if (file.mode === "100755") await chmod(join(partial, file.path), 0o755);
      }
    };
    await Promise.all(Array.from({ length: parallelDownloads }, worker));
    for (const link of links) {
      await symlink((await blob(octokit, name, link.sha)).toString("utf8"), join(partial, link.path));
    }
    await rename(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
