// Ledger of child processes (builds, proofs): whoever starts later can end what a killed control plane left running.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeDurably } from "./durable-file.ts";
import { endGroup, groupMembers, sendSignal } from "./process-group.ts";
import { findMarked, identify, isAlive, type ProcessIdentity } from "./process-identity.ts";

/** One line of the ledger; without pid it was written before the spawn. */
interface LedgerEntry {
  id: string;
  purpose: string;
  since: string;
  owner: ProcessIdentity;
  process?: ProcessIdentity;
}

export interface OwnedProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** How it ended; settles once its streams are closed too. Rejects only when it could not be started. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Ends the whole process group (SIGTERM, then SIGKILL after `graceMs`, default 5000); resolves when nothing of it is left. */
  end(graceMs?: number): Promise<void>;
}

export interface OwnedProcesses {
  /** Spawns for a purpose such as `build:dep_1` or `proof`. The child leads a process group of its own. */
  own(purpose: string): { spawn(command: string, args: readonly string[], options?: SpawnOptions): OwnedProcess };
  /**
   * Ends what dead owners left running; returns how many groups that were. A purpose ending in `*` is a prefix; no list is all.
   * Processes of this or another living owner are not touched.
   */
  reapOwned(purposes?: readonly string[]): Promise<number>;
  /** Ends everything this process owns; for an orderly stop. */
  endOwned(purposes?: readonly string[]): Promise<void>;
}

const markerName = "TSDEV_OWNED";

/**
 * Opens the ledger `directory/processes`.
 *
 * @example
 * const owned = openOwnedProcesses(dataDirectory);
 * await owned.reapOwned(["build:*"]);
 * const build = owned.own("build:dep_1").spawn("npm", ["ci"], { cwd, stdio: ["ignore", "pipe", "pipe"], signal });
 * const { code } = await build.ended;
 */
export function openOwnedProcesses(directory: string): OwnedProcesses {
  const folder = join(directory, "processes");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const owner = identify(process.pid)!;
  const running = new Map<string, { purpose: string; process: OwnedProcess }>();
  const path = (id: string) => join(folder, `${id}.json`);
  const matches = (purpose: string, purposes: readonly string[] | undefined) =>
    purposes === undefined ||
    purposes.some((wanted) => (wanted.endsWith("*") ? purpose.startsWith(wanted.slice(0, -1)) : wanted === purpose));

  return {
    own: (purpose) => ({
      spawn(command, args, options = {}) {
        const id = randomUUID();
        const marker = `${markerName}=${id}`;
        const entry: LedgerEntry = { id, purpose, since: new Date().toISOString(), owner };
        // Before the spawn, so that a kill in between leaves the marker to look for; after it, with the identity.
        writeDurably(path(id), JSON.stringify(entry));
        const { signal, timeout: _timeout, ...rest } = options;
        let child: ChildProcess;
        try {
          child = spawn(command, args, {
            ...rest,
            detached: true,
            env: { ...(options.env ?? process.env), [markerName]: id },
          });
        } catch (error) {
          rmSync(path(id), { force: true });
          throw error;
        }
        if (child.pid !== undefined) {
          const process = identify(child.pid);
          if (process) writeDurably(path(id), JSON.stringify({ ...entry, process } satisfies LedgerEntry));
        }
        let finish: Promise<void> | undefined;
        const end = (graceMs?: number) => {
          finish ??= (async () => {
            // The group exists for as long as a member lives, so its number cannot have gone to somebody else.
            if (child.pid !== undefined && groupMembers(child.pid).length > 0) {
              await endGroup(child.pid, graceMs === undefined ? { marker } : { graceMs, marker });
            } else for (const left of findMarked(marker)) sendSignal(left.pid, "SIGKILL");
            rmSync(path(id), { force: true });
            running.delete(id);
          })();
          return finish;
        };
        const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
          child.once("error", (error) => {
            if (child.pid !== undefined) return;
            rmSync(path(id), { force: true });
            running.delete(id);
            reject(error);
          });
          // What the leader left behind in its group holds its pipes open, and `close` would never come.
          child.once("exit", () => void end(0));
          child.once("close", (code, how) => void end(0).then(() => resolve({ code, signal: how })));
        });
        ended.catch(() => {});
        const owned: OwnedProcess = { pid: child.pid ?? -1, child, ended, end };
        if (child.pid !== undefined) running.set(id, { purpose, process: owned });
        const stop = () => void end();
        if (signal?.aborted) stop();
        else signal?.addEventListener("abort", stop, { once: true });
        child.once("close", () => signal?.removeEventListener("abort", stop));
        return owned;
      },
    }),

    async reapOwned(purposes) {
      let ended = 0;
      const entries = readdirSync(folder)
        .filter((name) => name.endsWith(".json"))
        .flatMap((name) => readJson<LedgerEntry>(join(folder, name)) ?? [])
        .filter((entry) => matches(entry.purpose, purposes) && !isAlive(entry.owner));
      await Promise.all(
        entries.map(async (entry) => {
          const marker = `${markerName}=${entry.id}`;
          const marked = findMarked(marker);
          const groups = new Set(marked.map((process) => process.group));
          if (entry.process && isAlive(entry.process)) groups.add(entry.process.pid);
          for (const group of groups) {
            await endGroup(group, { graceMs: 2000, marker });
            ended++;
          }
          rmSync(path(entry.id), { force: true });
        }),
      );
      return ended;
    },

    async endOwned(purposes) {
      const ending = [...running.values()].filter((entry) => matches(entry.purpose, purposes));
      await Promise.all(ending.map((entry) => entry.process.end()));
    },
  };
}
