// The router process: serves by the table in its state file, also with no control plane running.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { Server as NetServer, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { readJson, writeDurably } from "../durable-file.ts";
import { type Command, type RouterStats, serveControl } from "./control.ts";
import { createProxy } from "./proxy.ts";
import { RequestMetrics } from "./request-metrics.ts";
import { supervisorArguments } from "./supervisor-script.ts";
import { emptyTable, type RoutingTable } from "./table.ts";
import { Upstreams } from "./upstreams.ts";

const { values } = parseArgs({
  options: { table: { type: "string" }, socket: { type: "string" }, fd: { type: "string", default: "3" } },
});
const tablePath = values.table!;
const socketPath = values.socket!;
const fd = Number(values.fd);
const startedAt = new Date().toISOString();

let table: RoutingTable = readJson<RoutingTable>(tablePath) ?? emptyTable;
const upstreams = new Upstreams();
upstreams.set(table);
const requests = new RequestMetrics();
const server = createProxy(upstreams, () => table, requests);
const connections = new Set<Socket>();
server.on("connection", (socket: Socket) => {
  connections.add(socket);
  socket.once("close", () => connections.delete(socket));
});

let leaving = false;
/** Stops taking connections, lets what is in flight finish for at most `limitMs`, and exits 0, which the supervisor does not undo. */
function leave(limitMs: number): void {
  if (leaving) return;
  leaving = true;
  supervisor?.kill();
  // Not http's close: that also closes idle kept-alive connections, in a race with requests that are on their way.
  NetServer.prototype.close.call(server);
  server.prependListener("request", (_request, response) => response.setHeader("Connection", "close"));
  setTimeout(() => server.closeIdleConnections(), Math.min(1500, limitMs));
  const end = performance.now() + limitMs;
  const check = setInterval(() => {
    if (connections.size > 0 && performance.now() < end) return;
    clearInterval(check);
    process.exit(0);
  }, 20);
}

async function answer(command: Command): Promise<unknown> {
  switch (command.do) {
    case "set":
      writeDurably(tablePath, JSON.stringify(command.table));
      table = command.table;
      upstreams.set(table);
      return { done: true };
    case "table":
      return table;
    case "drain":
      return { drained: await upstreams.drain(command.ids, command.limitMs) };
    case "cut":
      upstreams.cut(command.ids);
      return { done: true };
    case "stats": {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      return { protocol: 1, pid: process.pid, port, startedAt, upstreams: upstreams.stats() } satisfies RouterStats;
    }
    case "requests":
      return requests.state((group) => Object.hasOwn(table.groups, group));
    case "quit":
      setImmediate(() => leave(1000));
      return { done: true };
    default:
      throw new Error(`unknown command ${(command as { do: string }).do}`);
  }
}

await new Promise<void>((resolve, reject) => {
  server.once("error", reject);
  server.listen({ fd }, resolve);
});
let control = await serveControl(socketPath, answer);
process.on("SIGTERM", () => leave(5000));
process.on("SIGINT", () => leave(5000));
// From here on: one request that breaks something must not reset every connection of every app.
process.on("uncaughtException", (error) => console.error(new Date().toISOString(), error));
process.on("unhandledRejection", (error) => console.error(new Date().toISOString(), error));

// The supervisor respawns the router; the router gives itself a new supervisor when that was killed.
let parent = process.ppid;
let supervisor: ChildProcess | undefined;
const watch = async (): Promise<void> => {
  if (!leaving && process.ppid !== parent) {
    parent = process.ppid;
    supervisor?.kill();
    const [program, ...args] = supervisorArguments({
      nodePath: process.execPath,
      table: tablePath,
      socket: socketPath,
      adopt: process.pid,
    });
    // In the same process group, by which the runtime ends them all.
    supervisor = spawn(program!, args, { stdio: ["ignore", "inherit", "inherit", fd] });
    supervisor.on("error", (error) => console.error(new Date().toISOString(), error));
    supervisor.unref();
  }
  // A cleaner of temporary folders may have taken the socket file.
  if (!leaving && !existsSync(socketPath)) {
    control.close();
    control = await serveControl(socketPath, answer);
  }
  setTimeout(() => void watch(), 500);
};
void watch();
