// The control plane's side of the router: adopts the one that runs or starts one, and speaks to it.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, statSync, truncateSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { TsdevError } from "../../../sdk/errors.ts";
import { readJson, writeDurably } from "../durable-file.ts";
import { endGroup, groupMembers } from "../process-group.ts";
import { findMarked, findProcess } from "../process-identity.ts";
import type { Answers, Command, RouterStats } from "./control.ts";
import type { RequestMetricsState } from "./request-metrics.ts";
import { supervisorArguments } from "./supervisor-script.ts";
import type { RoutingTable } from "./table.ts";

export interface Router {
  readonly port: number;
  /** Sets the whole table; resolves when it is on disk and in force. */
  set(table: RoutingTable): Promise<void>;
  /** The table in force. */
  table(): Promise<RoutingTable>;
  /** Waits until these instances have no request in flight; false when `limitMs` passed first. */
  drain(ids: string[], limitMs: number): Promise<boolean>;
  /** Closes the long connections (WebSocket, event streams) of these instances. */
  cut(ids: string[]): Promise<void>;
  stats(): Promise<RouterStats>;
  /** How long requests took, by group. Throws where the router that runs is of a version without this. */
  requests(): Promise<RequestMetricsState>;
  /** Ends router and supervisor; the port is free afterwards. */
  quit(): Promise<void>;
  /** Lets go; the router goes on. */
  close(): void;
}

export interface RouterOptions {
  directory: string;
  /** 0 takes any free one; taken ones are passed over, unless it has to be this one. */
  wantedPort: number;
  /** Throw `port_taken` rather than start on another port than the wanted one. */
  exactPort?: boolean;
  host: string;
  nodePath: string;
  env: Record<string, string>;
  log: (message: string) => void;
}

interface RouterRecord {
  port: number;
  /** What was wanted when it got that port: another wish is not answered with the old port. */
  wanted: number;
  socket: string;
  /** Process group of supervisor and router. */
  group: number;
}

/** Longest path of a unix socket that macOS takes; Linux takes four more. */
const longestSocketPath = 103;

function socketPathFor(folder: string): string {
  const path = join(folder, "control.sock");
  if (Buffer.byteLength(path) <= longestSocketPath) return path;
  const private_ = `/tmp/tsdev-${process.getuid?.() ?? 0}`;
  mkdirSync(private_, { recursive: true, mode: 0o700 });
  const owner = statSync(private_);
  if (owner.uid !== process.getuid?.() || (owner.mode & 0o077) !== 0) {
    throw new TsdevError("data_directory_unwritable", {
      message: `${private_} is not private to this user`,
      fix: "remove it, or use a data directory with a shorter path",
    });
  }
  return join(private_, `${createHash("sha256").update(folder).digest("hex").slice(0, 24)}.sock`);
}

/** Listens on the first free of the candidates; throws `port_taken` naming the wanted one. */
async function listenOnFree(candidates: Iterable<number>, host: string, wanted: number): Promise<Server> {
  let denied = false;
  for (const port of candidates) {
    const server = createServer();
    const failure = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
      server.once("error", done);
      server.listen({ port, host, backlog: 1024, exclusive: true }, () => done(undefined));
    });
    if (!failure) return server;
    if (failure.code !== "EADDRINUSE" && failure.code !== "EACCES") throw failure;
    denied = failure.code === "EACCES";
  }
  throw new TsdevError("port_taken", {
    message: denied ? `this user may not listen on port ${wanted}` : `port ${wanted} is in use`,
    fix: `${denied ? "" : "stop what uses it, or "}give another --port; 0 takes a free one`,
  });
}

function* candidatePorts(wanted: number, kept: number | undefined): Generator<number> {
  if (kept !== undefined) yield kept;
  if (wanted > 0) for (let port = wanted; port < Math.min(wanted + 100, 65_536); port++) yield port;
  yield 0;
}

function refusal(message: string): TsdevError {
  const unwritable = /^(ENOSPC|EROFS|EACCES|EDQUOT|EIO)\b/.test(message);
  return new TsdevError(unwritable ? "data_directory_unwritable" : "internal", {
    message: `the router could not do it: ${message}`,
    fix: unwritable ? "make room in the data directory, or make it writable" : "see the router's output.log",
  });
}

/** One connection of the control channel. */
class Channel {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 1;
  open = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.open = false;
      for (const waiting of this.#waiting.values()) waiting.reject(new Error("the router closed the channel"));
      this.#waiting.clear();
    });
    createInterface({ input: socket })
      .on("line", (line) => {
        const message = JSON.parse(line) as { id: number; result?: unknown; error?: string };
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (this.#waiting.size === 0) socket.unref();
        if (message.error === undefined) waiting?.resolve(message.result);
        else waiting?.reject(refusal(message.error));
      })
      .on("error", () => {});
  }

  static connect(path: string): Promise<Channel> {
    return new Promise((done, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        // The control plane may end although the channel is open.
        socket.unref();
        done(new Channel(socket));
      });
    });
  }

  ask(command: Command): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.open) return reject(new Error("the router closed the channel"));
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#socket.ref();
      this.#socket.write(`${JSON.stringify({ id, command })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Adopts the router of this directory or starts one, on the port it had before or the first free from the wanted one. */
export async function openRouter(options: RouterOptions): Promise<Router> {
  const folder = join(resolve(options.directory), "router");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const recordPath = join(folder, "record.json");
  const tablePath = join(folder, "table.json");
  const marker = `TSDEV_ROUTER=${createHash("sha256").update(folder).digest("hex").slice(0, 24)}`;
  let record = readJson<RouterRecord>(recordPath);
  let channel: Channel | undefined;
  let closed = false;
  let repair: Promise<Channel> | undefined;

  /** Processes of this router, whether or not the record came to be written. */
  const groups = (): number[] => {
    const found = new Set(findMarked(marker).map((process) => process.group));
    // Without /proc there are no markers: the recorded group is then believed.
    if (process.platform !== "linux" && record && groupMembers(record.group).length > 0) found.add(record.group);
    return [...found];
  };

  /** The channel of a router that runs; undefined when none answers within `limitMs` or none runs. */
  const reach = async (limitMs: number): Promise<Channel | undefined> => {
    const end = performance.now() + limitMs;
    const paths = new Set([socketPathFor(folder), ...(record ? [record.socket] : [])]);
    for (;;) {
      for (const path of paths) {
        try {
          const reached = await Channel.connect(path);
          const timeout = delay(2000).then(() => undefined);
          const stats = (await Promise.race([reached.ask({ do: "stats" }), timeout])) as RouterStats | undefined;
          if (stats && stats.port > 0) {
            const group = findProcess(stats.pid)?.group ?? record?.group ?? 0;
            record = { port: stats.port, wanted: record?.wanted ?? options.wantedPort, socket: path, group };
            writeDurably(recordPath, JSON.stringify(record));
            return reached;
          }
          reached.close();
        } catch {
          // Not there, or on its way up or down.
        }
      }
      if (performance.now() >= end || groups().length === 0) return undefined;
      await delay(25);
    }
  };

  const start = async (): Promise<Channel> => {
    for (const group of groups()) await endGroup(group, { graceMs: 500 });
    const socket = socketPathFor(folder);
    const logPath = join(folder, "output.log");
    const logFd = openSync(logPath, "a", 0o600);
    if (statSync(logPath).size > 10_000_000) truncateSync(logPath);
    const kept = record?.wanted === options.wantedPort ? record.port : undefined;
    const exact = options.exactPort === true && options.wantedPort > 0;
    const candidates = exact ? [options.wantedPort] : candidatePorts(options.wantedPort, kept);
    const server = await listenOnFree(candidates, options.host, options.wantedPort);
    try {
      // Nothing is accepted here: spawn and close happen before the event loop looks at the socket.
      const listening = (server as unknown as { _handle: { fd: number } })._handle.fd;
      const [program, ...args] = supervisorArguments({ nodePath: options.nodePath, table: tablePath, socket });
      const supervisor = spawn(program!, args, {
        cwd: folder,
        detached: true,
        stdio: ["ignore", logFd, logFd, listening],
        env: { ...options.env, [marker.split("=")[0]!]: marker.split("=")[1] },
      });
      supervisor.on("error", (error) => options.log(`router supervisor: ${error.message}`));
      supervisor.unref();
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      record = { port, wanted: options.wantedPort, socket, group: supervisor.pid ?? 0 };
      writeDurably(recordPath, JSON.stringify(record));
    } finally {
      server.close();
      closeSync(logFd);
    }
    const end = performance.now() + 15_000;
    while (performance.now() < end) {
      const reached = await reach(1000);
      if (reached) return reached;
      await delay(25);
    }
    throw new TsdevError("unavailable", { message: "the router does not start", fix: `see ${logPath}` });
  };

  const obtain = (): Promise<Channel> => {
    if (closed)
      return Promise.reject(new TsdevError("canceled", { message: "the runtime is closed", fix: "open it again" }));
    if (channel?.open) return Promise.resolve(channel);
    repair ??= (async () => {
      try {
        channel = (await reach(5000)) ?? (await start());
        return channel;
      } finally {
        repair = undefined;
      }
    })();
    return repair;
  };

  const call = async <D extends Command["do"]>(command: Command & { do: D }): Promise<Answers[D]> => {
    // Every command is safe to repeat, so one that was cut off by the router's death is simply asked of the next.
    for (let tries = 1; ; tries++) {
      try {
        return (await (await obtain()).ask(command)) as Answers[D];
      } catch (error) {
        if (TsdevError.is(error) || tries >= 5 || closed) throw error;
      }
    }
  };

  const before = record?.port;
  await obtain();
  if (options.wantedPort > 0 && record!.port !== options.wantedPort) {
    options.log(
      before === record!.port
        ? `the router keeps port ${before} of the last start; \`npx tsdev stop --all\` frees it to move`
        : `port ${options.wantedPort} is taken, the router listens on ${record!.port}`,
    );
  }
  // Also when nobody asks anything: a router whose supervisor died with it is started again.
  const watch = setInterval(() => {
    if (!channel?.open) obtain().catch((error: Error) => options.log(`router: ${error.message}`));
  }, 500);
  watch.unref();

  const close = (): void => {
    closed = true;
    clearInterval(watch);
    channel?.close();
  };
  return {
    get port() {
      return record!.port;
    },
    set: async (table) => void (await call({ do: "set", table })),
    table: () => call({ do: "table" }),
    drain: async (ids, limitMs) => (await call({ do: "drain", ids, limitMs })).drained,
    cut: async (ids) => void (await call({ do: "cut", ids })),
    stats: () => call({ do: "stats" }),
    requests: () => call({ do: "requests" }),
    close,
    async quit() {
      clearInterval(watch);
      const group = record!.group;
      await call({ do: "quit" }).catch(() => {});
      close();
      const end = performance.now() + 3000;
      while (groupMembers(group).length > 0 && performance.now() < end) await delay(10);
      for (const left of groups()) await endGroup(left, { graceMs: 200 });
    },
  };
}
