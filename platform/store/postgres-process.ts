// Tells whether a Postgres server runs on a data directory: by its pid file, the live process behind it, and its orphans.
import { execFile } from "node:child_process";
import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { platform } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What `postmaster.pid` says. */
export interface PidFile {
  pid: number;
  port: number;
  socketDirectory: string;
}

/** Reads `postmaster.pid`; null where there is none or it is not whole yet. */
export async function readPidFile(dataDirectory: string): Promise<PidFile | null> {
  const text = await readFile(join(dataDirectory, "postmaster.pid"), "utf8").catch(() => "");
  const lines = text.split("\n");
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number(lines[3] ?? 0), socketDirectory: lines[4] ?? "" };
}

/** True while a process that is not a zombie has this pid. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  if (platform() !== "linux") return true;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** True if the pid is a Postgres that works in this data directory, and not another process that got the number. */
export async function isPostgresOn(pid: number, dataDirectory: string): Promise<boolean> {
  if (!(await isAlive(pid))) return false;
  if (platform() === "linux") {
    // A server and its children work in their data directory.
    return worksIn(pid, await realpath(dataDirectory));
  }
  const { stdout } = await run("ps", ["-p", String(pid), "-o", "command="]).catch(() => ({ stdout: "" }));
  return basename(stdout.split(" ")[0] ?? "") === "postgres" && stdout.includes(dataDirectory);
}

/** True while any process works in the data directory: children of a killed server need a moment to notice. */
export async function hasProcesses(dataDirectory: string): Promise<boolean> {
  if (platform() !== "linux") return false;
  const real = await realpath(dataDirectory);
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    if (await worksIn(Number(name), real)) return true;
  }
  return false;
}

async function worksIn(pid: number, realDirectory: string): Promise<boolean> {
  const [name, folder] = await Promise.all([
    readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""),
    readlink(`/proc/${pid}/cwd`).catch(() => ""),
  ]);
  return name.trim() === "postgres" && folder === realDirectory;
}
