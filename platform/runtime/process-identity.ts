// Which process it is, beyond its pid: start time and boot, so that a reused pid is never taken for the process that had it.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** A process for all time on this machine. */
export interface ProcessIdentity {
  pid: number;
  /** Start time in clock ticks since boot (Linux) or as `ps` prints it. */
  ticks: string;
  /** Id of the boot it was started in. */
  boot: string;
}

/** One live process as the kernel shows it. */
export interface ProcessEntry {
  pid: number;
  parent: number;
  group: number;
  ticks: string;
}

const isLinux = process.platform === "linux";
let boot: string | undefined;

/** Id of this boot of the machine. */
export function bootId(): string {
  boot ??= isLinux
    ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    : execFileSync("sysctl", ["-n", "kern.bootsessionuuid"], { encoding: "utf8" }).trim();
  return boot;
}

/** A line of `/proc/PID/stat`; undefined for a zombie, which is dead although signal 0 reaches it. */
export function parseStat(line: string): ProcessEntry | undefined {
  // The command name stands in brackets and may itself hold brackets and spaces: fields are counted after the last one.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return {
    pid: Number.parseInt(line, 10),
    parent: Number(fields[1]),
    group: Number(fields[2]),
    ticks: fields[19] ?? "",
  };
}

/** A line of `ps -o pid=,ppid=,pgid=,stat=,lstart=`, for systems without /proc. */
export function parsePs(line: string): ProcessEntry | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
  if (!match || match[4]!.startsWith("Z")) return undefined;
  return { pid: Number(match[1]), parent: Number(match[2]), group: Number(match[3]), ticks: match[5]! };
}

function ps(selection: string[]): ProcessEntry[] {
  try {
    const text = execFileSync("ps", [...selection, "-o", "pid=,ppid=,pgid=,stat=,lstart="], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    return text.split("\n").flatMap((line) => parsePs(line) ?? []);
  } catch {
    return [];
  }
}

/** The live process with this pid, or undefined when there is none or it is a zombie. */
export function findProcess(pid: number): ProcessEntry | undefined {
  if (!isLinux) return ps(["-p", String(pid)])[0];
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Every live process of the machine that can be seen. */
export function listProcesses(): ProcessEntry[] {
  if (!isLinux) return ps(["-A"]);
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) ? (findProcess(pid) ?? []) : [];
  });
}

/** Who has this pid now; undefined when it is dead. */
export function identify(pid: number): ProcessIdentity | undefined {
  const entry = findProcess(pid);
  return entry && { pid, ticks: entry.ticks, boot: bootId() };
}

/** True while this very process runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identity.boot === bootId() && findProcess(identity.pid)?.ticks === identity.ticks;
}

/** Live processes that were started with `NAME=value` in their environment (their descendants inherit it); Linux only, else none. */
export function findMarked(marker: string): ProcessEntry[] {
  if (!isLinux) return [];
  return listProcesses().filter((entry) => {
    try {
      return `\0${readFileSync(`/proc/${entry.pid}/environ`, "latin1")}`.includes(`\0${marker}\0`);
    } catch {
      return false;
    }
  });
}
