// What processes use, from /proc: CPU time, memory, disk, file descriptors and threads, summed over those of an instance.
import { readdirSync, readFileSync } from "node:fs";

/** Linux counts CPU time in hundredths of a second in /proc, whatever the kernel's own tick (USER_HZ, proc_pid_stat(5)). */
const ticksPerSecond = 100;

export interface ProcessUsage {
  /** Seconds since the process began, its ended and waited-for children not included. */
  userSeconds: number;
  systemSeconds: number;
  /** Physical memory in bytes; pages that several processes share are counted in each. */
  memoryBytes: number;
  /** Bytes that reached or came from a disk; undefined where the kernel does not let us see it. */
  readBytes: number | undefined;
  writtenBytes: number | undefined;
  openFiles: number | undefined;
  threads: number;
}

/** Of one process; undefined when it is gone, or without /proc. */
export function processUsage(pid: number): ProcessUsage | undefined {
  try {
    // The command name stands in brackets and may hold anything: fields are counted after the last one (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const io = readable(() => readFileSync(`/proc/${pid}/io`, "latin1"));
    return {
      userSeconds: Number(fields[11]) / ticksPerSecond,
      systemSeconds: Number(fields[12]) / ticksPerSecond,
      memoryBytes: (numberAfter(status, "VmRSS") ?? 0) * 1024,
      readBytes: numberAfter(io, "read_bytes"),
      writtenBytes: numberAfter(io, "write_bytes"),
      openFiles: readable(() => readdirSync(`/proc/${pid}/fd`))?.length,
      threads: Number(fields[17]),
    };
  } catch {
    return undefined;
  }
}

function numberAfter(text: string | undefined, name: string): number | undefined {
  const found = text === undefined ? null : new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text);
  return found ? Number(found[1]) : undefined;
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
