// Boot: starts one version of the app in isolation, behind its own proxy, sink and collector, and waits until it is healthy.
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
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

export async function boot(
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
    const port = await freePort();
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
    const command = ["sh", "-c", request.start];
    if (options.core !== null) command.unshift("taskset", "-c", String(options.core));
    const logFile = join(directory, `${label}.log`);
    const log = openSync(logFile, "a", 0o600);
    const app = dependencies.spawn(command[0]!, command.slice(1), { cwd: folder, env, stdio: ["ignore", log, log] });
    closeSync(log);
    closing.push(() => app.end(2_000));
    let ended = false;
    app.ended.then(
      () => {
        ended = true;
      },
      () => {
        ended = true;
      },
    );
    await healthy(label, port, request.health, () => ended, logFile, signal);
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

async function healthy(
  label: string,
  port: number,
  path: string | undefined,
  ended: () => boolean,
  logFile: string,
  signal: AbortSignal,
): Promise<void> {
  const paths = path === undefined ? ["/readyz", "/"] : [path];
  const deadline = performance.now() + healthLimitMs;
  for (;;) {
    signal.throwIfAborted();
    for (const candidate of paths) {
      const status = await fetch(`http://127.0.0.1:${port}${candidate}`, { signal: AbortSignal.timeout(2_000) }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      // Without a stated path, a 404 of /readyz says that the app answers.
      if (status > 0 && status < 500) return;
    }
    if (ended() || performance.now() > deadline) {
      const lines = (await readFile(logFile, "utf8").catch(() => "")).trimEnd().split("\n").slice(-8).join("\n");
      throw new TsdevError("not_proven", {
        message: `the ${label} version ${ended() ? "ended while it was starting" : "was not healthy in time"} in isolation: ${lines}`,
        fix: "start the app with an empty environment and the variables of its environment; it may need one that is secret",
      });
    }
    await delay(25);
  }
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((settle, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", settle);
  });
  const address = server.address();
  await new Promise((settle) => server.close(settle));
  return typeof address === "object" && address !== null ? address.port : 0;
}
