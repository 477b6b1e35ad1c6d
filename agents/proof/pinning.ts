// Pinning: both apps and their database sessions on one core, so that a boot's speed does not depend on where it landed.
//
// All or nothing: pinned apps with free database sessions vary more from boot to boot than free ones.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import type { ProofServer } from "./proof-server.ts";

const run = promisify(execFile);

/** The core to pin to; null where the sessions or the apps cannot be pinned. */
export async function chooseCore(server: ProofServer | null): Promise<number | null> {
  if (process.platform !== "linux" || availableParallelism() < 2) return null;
  try {
    const cores = await allowedCores();
    if (cores.length < 2) return null;
    // The last one: interrupts and everything that is not told otherwise tend to be on the first.
    const core = cores.at(-1)!;
    await run("taskset", ["-c", String(core), "true"]);
    if (server !== null && !(await canPinSessions(server, cores))) return null;
    return core;
  } catch {
    return null;
  }
}

/** Pins the sessions that apps hold in these databases. */
export async function pinSessions(server: ProofServer, databases: readonly string[], core: number): Promise<void> {
  for (const pid of await server.backends(databases)) {
    // A session may have ended since.
    await run("taskset", ["-cp", String(core), String(pid)]).catch(() => {});
  }
}

async function allowedCores(): Promise<number[]> {
  const status = await readFile("/proc/self/status", "utf8");
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "";
  return list.split(",").flatMap((part) => {
    const [from, to = from] = part.split("-").map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, index) => from! + index);
  });
}

/** True when the server's sessions are processes of this machine that we may move. */
async function canPinSessions(server: ProofServer, cores: readonly number[]): Promise<boolean> {
  const pid = await server.ownBackend();
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
  if (!["127.0.0.1", "localhost", "::1"].includes(server.address.host) || name.trim() !== "postgres") return false;
  await run("taskset", ["-cp", cores.join(","), String(pid)]);
  return true;
}
