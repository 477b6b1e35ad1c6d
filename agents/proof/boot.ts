// Boot: starts one version of the app in isolation, behind its own proxy, sink and collector, and waits until it is healthy.
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { probeReadiness } from "../../platform/runtime/health-probe.ts";
import { listenersOf, pickPort } from "../../platform/runtime/ports.ts";
import { groupMembers } from "../../platform/runtime/process-group.ts";
import { parseStartCommand } from "../../platform/runtime/start-command.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { type Collector, startCollector } from "./collector.ts";
import { type DatabaseProxy, startDatabaseProxy } from "./database-proxy.ts";
import { createDriver, type Driver } from "./driver.ts";
import { type OutgoingSink, type SinkOptions, startOutgoingSink } from "./outgoing-sink.ts";
import type { ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest, ProofVersion } from "./request.ts";

export interface BootOptions {
  /** For logs and messages: `base`, `patch`. */
  label: string;
  version: ProofVersion;
  /** The clone it works on; null when the app has no database. */
  database: string | null;
  sink: SinkOptions;
  /** The hook's seeded clock and random numbers: for equality, not for timing. */
  deterministic: boolean;
  /** The core that the app is pinned to, where pinning works. */
  core: number | null;
}

export interface Side {
  readonly label: string;
  readonly pid: number;
  readonly database: string | null;
  readonly proxy: DatabaseProxy | null;
  readonly sink: OutgoingSink;
  readonly collector: Collector;
  readonly driver: Driver;
  /** Resolves when neither a query nor an outgoing call has been open for so long. */
  quiet(idleMs?: number): Promise<void>;
  /** Ends the process in an orderly way, which sends its last spans. */
  stop(): Promise<void>;
  /** Closes what listens; after `stop`. */
  close(): Promise<void>;
}

const healthLimitMs = 30_000;
const requestLimitMs = 15_000;

const portsInUse = new Set<number>();

/** Throws `not_proven` when the version does not start in isolation. */
export async function boot(
  options: BootOptions,
  request: ProofRequest,
  dependencies: ProofDependencies,
  server: ProofServer | null,
): Promise<Side> {
  for (let left = 3; ; left -= 1) {
    try {
      return await bootOnce(options, request, dependencies, server);
    } catch (error) {
      if (!(error instanceof PortLost) || left === 0) throw error;
    }
  }
}

async function bootOnce(
  options: BootOptions,
  request: ProofRequest,
  dependencies: ProofDependencies,
  server: ProofServer | null,
): Promise<Side> {
  const { label, version, database } = options;
  const { signal, directory } = dependencies;
  const closing: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of closing.reverse()) await close();
  };
  try {
    const sink = await startOutgoingSink(options.sink);
    closing.push(() => sink.close());
    const collector = await startCollector();
    closing.push(() => collector.close());
    const proxy = server !== null && database !== null ? await startDatabaseProxy(server.address) : null;
    if (proxy !== null) closing.push(() => proxy.close());
    const port = await pickPort(portsInUse);
    portsInUse.add(port);
    closing.push(() => void portsInUse.delete(port));
    const home = join(directory, `home-${label}`);
    await mkdir(home, { recursive: true });
    const folder = await realpath(version.folder).catch((cause: unknown) => {
      throw new TsdevError("not_proven", {
        message: `the ${label} version's folder ${version.folder} does not exist`,
        fix: "build the version first",
        cause,
      });
    });
    const env: Record<string, string> = {
      ...basicEnvironment(dependencies, folder, home),
      ...request.env,
      PORT: String(port),
      OTEL_SERVICE_NAME: request.service,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: "200",
      NODE_OPTIONS: `--import ${dependencies.registerUrl}`,
      TSDEV_COMMIT: version.commit,
      TSDEV_ROOT: folder,
      TSDEV_REPLAY_URL: sink.url,
      TSDEV_REPLAY_ALLOW: [collector.url.slice("http://".length), ...(proxy ? [`127.0.0.1:${proxy.port}`] : [])].join(
        ",",
      ),
    };
    if (options.deterministic) env.TSDEV_REPLAY_DETERMINISTIC = "1";
    if (proxy !== null) env.DATABASE_URL = server!.appUrl(database!, proxy.port);
    else delete env.DATABASE_URL;
    const start = parseStartCommand(request.start, dependencies.nodePath);
    const command = [start.program, ...start.args];
    if (options.core !== null) command.unshift("taskset", "-c", String(options.core));
    const logFile = join(directory, `${label}.log`);
    const log = openSync(logFile, "a", 0o600);
    const app = dependencies.spawn(command[0]!, command.slice(1), { cwd: folder, env, stdio: ["ignore", log, log] });
    closeSync(log);
    // Who wants its last spans stops it in an orderly way before.
    closing.push(() => app.end(0));
    let ended = false;
    app.ended.then(
      () => {
        ended = true;
      },
      () => {
        ended = true;
      },
    );
    await healthy({ label, port, group: app.pid, path: request.health, ended: () => ended, logFile, signal });
    const driver = createDriver(port, requestLimitMs, signal);
    closing.push(() => driver.close());
    return {
      label,
      pid: app.pid,
      database,
      proxy,
      sink,
      collector,
      driver,
      quiet: (idleMs = 4) => quiet(proxy, sink, idleMs, signal),
      stop: () => app.end(5_000),
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** What every process of a proof gets; nothing of the control plane's own environment beyond it. */
export function basicEnvironment(
  dependencies: ProofDependencies,
  folder: string,
  home: string,
): Record<string, string> {
  const path = [
    dirname(dependencies.nodePath),
    join(folder, "node_modules", ".bin"),
    process.env.PATH ?? "/usr/bin:/bin",
  ];
  return { PATH: path.join(":"), HOME: home, TMPDIR: home, LANG: "C.UTF-8", TZ: "UTC", NODE_ENV: "production" };
}

/** The port went to another process between the pick and the app's listen: start again on another. */
class PortLost extends Error {}

interface Starting {
  label: string;
  port: number;
  group: number;
  path: string | undefined;
  ended: () => boolean;
  logFile: string;
  signal: AbortSignal;
}

async function healthy({ label, port, group, path, ended, logFile, signal }: Starting): Promise<void> {
  const deadline = performance.now() + healthLimitMs;
  for (;;) {
    signal.throwIfAborted();
    const { ready } = await probeReadiness({ host: "127.0.0.1", port, health: path }, 2_000, signal);
    if (ready && (process.platform !== "linux" || listensOn(group, port))) return;
    if (ended() || performance.now() > deadline) {
      const text = await readFile(logFile, "utf8").catch(() => "");
      if (ended() && new RegExp(`EADDRINUSE[^\\n]*:${port}\\b`).test(text)) throw new PortLost();
      const lines = text.trimEnd().split("\n").slice(-8).join("\n");
      throw new TsdevError("not_proven", {
        message: `the ${label} version ${ended() ? "ended while it was starting" : "was not healthy in time"} in isolation: ${lines}`,
        fix: "start the app with an empty environment and the variables of its environment; it may need one that is secret",
      });
    }
    await delay(25);
  }
}

/** Whether it is the app that listens there, and not somebody else's. */
function listensOn(group: number, port: number): boolean {
  const pids = groupMembers(group).map((entry) => entry.pid);
  return listenersOf(pids).some((listener) => listener.port === port);
}

async function quiet(
  proxy: DatabaseProxy | null,
  sink: OutgoingSink,
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const idle = () => (proxy?.pending() ?? 0) === 0 && sink.pending() === 0;
  const deadline = performance.now() + 3_000;
  let since = performance.now();
  let trips = proxy?.roundTrips() ?? 0;
  for (;;) {
    await delay(1);
    signal.throwIfAborted();
    const now = performance.now();
    const current = proxy?.roundTrips() ?? 0;
    if (!idle() || current !== trips) since = now;
    trips = current;
    if (now - since >= idleMs || now > deadline) return;
  }
}
