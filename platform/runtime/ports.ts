// Ports of instances: picked outside the range the kernel hands out, and found again by who listens on them.
import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";

/** Where instance ports are taken from: below Linux's and macOS' ephemeral ranges and Kubernetes' node ports. */
const first = 20_000;
const last = 29_999;

/** True when nothing listens on the port on any address of this machine. */
export function isPortFree(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once("error", () => resolve(false));
    // No host: the wildcard of both families, which collides with every listener on the port.
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function ephemeralRange(): [number, number] {
  try {
    const [low, high] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number);
    return [low!, high!];
  } catch {
    return [49_152, 65_535];
  }
}

/**
 * A port that nobody listens on and that is not in `reserved`. Another process may still take it before it is used,
 * so a start has to be tried again when the port turns out to be taken.
 */
export async function pickPort(reserved: ReadonlySet<number>): Promise<number> {
  const [low, high] = ephemeralRange();
  const from = low <= first && high < 60_000 ? high + 1 : first;
  const to = low <= first ? (high < 60_000 ? 65_535 : last) : Math.min(last, low - 1);
  // From a random place, so that two runtimes on one machine seldom try the same.
  let port = randomInt(from, to + 1);
  for (let tries = 0; tries <= to - from; tries++) {
    if (!reserved.has(port) && (await isPortFree(port))) return port;
    port = port === to ? from : port + 1;
  }
  throw new Error(`no free port between ${from} and ${to}`);
}

/** One TCP socket that listens. */
export interface Listener {
  port: number;
  /** Reachable on 127.0.0.1 (`ipv4`) or only on ::1 (`ipv6`). */
  family: "ipv4" | "ipv6";
}

function listeningInodes(): Map<string, Listener> {
  const found = new Map<string, Listener>();
  for (const file of ["tcp", "tcp6"] as const) {
    let text: string;
    try {
      text = readFileSync(`/proc/net/${file}`, "latin1");
    } catch {
      continue;
    }
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      // 0A is LISTEN.
      if (fields[3] !== "0A") continue;
      const [address, port] = fields[1]!.split(":");
      // The v6 wildcard takes v4 connections too (Node listens dual-stack unless told otherwise).
      const loopbackV6 = address === "00000000000000000000000001000000";
      found.set(fields[9]!, { port: Number.parseInt(port!, 16), family: loopbackV6 ? "ipv6" : "ipv4" });
    }
  }
  return found;
}

/** The TCP ports that these processes listen on, lowest first. On Linux by /proc, elsewhere by `lsof`. */
export function listenersOf(pids: readonly number[]): Listener[] {
  const found = new Map<number, Listener>();
  if (process.platform === "linux") {
    const inodes = listeningInodes();
    for (const pid of pids) {
      try {
        for (const fd of readdirSync(`/proc/${pid}/fd`)) {
          let target: string;
          try {
            target = readlinkSync(`/proc/${pid}/fd/${fd}`);
          } catch {
            continue;
          }
          const listener = target.startsWith("socket:[") ? inodes.get(target.slice(8, -1)) : undefined;
          if (listener && found.get(listener.port)?.family !== "ipv4") found.set(listener.port, listener);
        }
      } catch {
        // It ended meanwhile.
      }
    }
  } else if (pids.length > 0) {
    try {
      const args = ["-nP", "-a", "-iTCP", "-sTCP:LISTEN", "-Fn", "-p", pids.join(",")];
      const text = execFileSync("lsof", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      for (const match of text.matchAll(/^n(.*):(\d+)$/gm)) {
        const port = Number(match[2]);
        found.set(port, { port, family: match[1] === "[::1]" ? "ipv6" : "ipv4" });
      }
    } catch {
      // No lsof, or nothing listens.
    }
  }
  return [...found.values()].sort((a, b) => a.port - b.port);
}
