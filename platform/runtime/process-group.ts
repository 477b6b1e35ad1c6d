// Ends a process group for certain: asks, waits for every member, then kills.
import { setTimeout as delay } from "node:timers/promises";
import { findMarked, listProcesses, type ProcessEntry } from "./process-identity.ts";

/** Sends a signal to a pid or, negative, to a group; false when there is nobody. */
export function sendSignal(target: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    // macOS answers EPERM for a group that holds only zombies.
    if ((error as NodeJS.ErrnoException).code === "EPERM") return false;
    throw error;
  }
}

/** Live members of a process group; a zombie is no member. */
export function groupMembers(group: number): ProcessEntry[] {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return [];
  }
  return listProcesses().filter((entry) => entry.group === group);
}

/**
 * SIGTERM to the group, then SIGKILL after `graceMs` (default 5000); resolves when no live process of it is left.
 * The caller has made sure that the group is its own. With a `marker` (`NAME=value` of the environment) descendants
 * that left the group are killed too. A member that cannot be killed (uninterruptible) is given up after 10 s: false.
 */
export async function endGroup(group: number, options: { graceMs?: number; marker?: string } = {}): Promise<boolean> {
  if (group <= 1 || group === process.pid) throw new Error(`refusing to end process group ${group}`);
  const gone = async (limitMs: number): Promise<boolean> => {
    const end = performance.now() + limitMs;
    for (let pause = 5; ; pause = Math.min(pause * 2, 50)) {
      if (groupMembers(group).length === 0) return true;
      if (performance.now() >= end) return false;
      await delay(pause);
    }
  };
  sendSignal(-group, "SIGTERM");
  let done = await gone(options.graceMs ?? 5000);
  if (!done) {
    sendSignal(-group, "SIGKILL");
    done = await gone(10_000);
  }
  if (options.marker !== undefined) {
    for (const entry of findMarked(options.marker)) sendSignal(entry.pid, "SIGKILL");
  }
  return done;
}
