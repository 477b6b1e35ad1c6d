// The router's control channel: JSON lines over a unix socket; every answer comes after its effect is on disk.
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import type { RequestMetricsState } from "./request-metrics.ts";
import type { RoutingTable } from "./table.ts";

/** What can be asked of a router; each is safe to repeat. */
export type Command =
  | { do: "set"; table: RoutingTable }
  | { do: "table" }
  | { do: "drain"; ids: string[]; limitMs: number }
  | { do: "cut"; ids: string[] }
  | { do: "stats" }
  | { do: "requests" }
  | { do: "quit" };

export interface RouterStats {
  /** Version of this channel. */
  protocol: 1;
  pid: number;
  port: number;
  startedAt: string;
  upstreams: { id: string; inFlight: number; long: number; retired: boolean }[];
}

/** Answers of the commands in `Command`. */
export interface Answers {
  set: { done: true };
  table: RoutingTable;
  drain: { drained: boolean };
  cut: { done: true };
  stats: RouterStats;
  requests: RequestMetricsState;
  quit: { done: true };
}

/** Serves the channel at `path`; a stale socket file is replaced. */
export function serveControl(path: string, answer: (command: Command) => Promise<unknown>): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket })
      .on("line", (line) => {
        void (async () => {
          let id: unknown;
          let reply: object;
          try {
            const message = JSON.parse(line) as { id: number; command: Command };
            id = message.id;
            reply = { id, result: await answer(message.command) };
          } catch (error) {
            reply = { id, error: error instanceof Error ? error.message : String(error) };
          }
          if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
        })();
      })
      .on("error", () => {});
  });
  rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Its folder is private (mode 0700), so nobody else reaches the socket.
    server.listen(path, () => resolve(server));
  });
}
