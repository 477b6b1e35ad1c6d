// What a git process that was killed leaves behind: locks that would refuse every later writer, and half-received packs.
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** Our writers and git's own hold a ref's lock for milliseconds. */
const lockLifeMs = 5_000;
/** A push that is still arriving after a day is not. */
const packLifeMs = 24 * 3600_000;

/** Removes the locks of refs that are older than any living writer would hold them. */
export async function removeStaleLocks(repository: string): Promise<void> {
  const refs = await readdir(join(repository, "refs"), { recursive: true, withFileTypes: true }).catch(() => []);
  const locks = refs.filter((entry) => entry.name.endsWith(".lock")).map((entry) => join(entry.parentPath, entry.name));
  for (const name of ["HEAD.lock", "packed-refs.lock", "config.lock"]) locks.push(join(repository, name));
  for (const lock of locks) await removeIfOlder(lock, lockLifeMs);
}

/** Removes what interrupted pushes left of their packs. */
export async function removeStalePacks(repository: string): Promise<void> {
  const objects = join(repository, "objects");
  for (const name of await readdir(objects).catch(() => [])) {
    if (/^(tmp_objdir-)?incoming-/.test(name)) await removeIfOlder(join(objects, name), packLifeMs);
  }
}

/** Removes index files and fetches of a process that ended in between. */
export async function removeStaleScratch(scratch: string): Promise<void> {
  for (const name of await readdir(scratch).catch(() => [])) await removeIfOlder(join(scratch, name), packLifeMs);
}

async function removeIfOlder(path: string, lifeMs: number): Promise<void> {
  const there = await stat(path).catch(() => null);
  if (there && Date.now() - there.mtimeMs > lifeMs) await rm(path, { recursive: true, force: true });
}
