// Serves an app on a port and stops it without a failed request: not ready, `Connection: close`, drain, close, exit.
import { type Server as HttpServer, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { devHost } from "../dev/host.ts";
import type { Engine } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import { createLog } from "../log.ts";
import type { Registry } from "../registry.ts";
import { stateOf } from "./app-state.ts";

export interface ServeOptions {
  /** Default: `PORT`, else 3000. 0 takes a free one. */
  port?: number;
  /** Default: all interfaces. */
  hostname?: string;
  /** Closed at the end; default: the one of `createApp`. */
  engine?: Engine;
  /**
   * How long after SIGTERM the app goes on serving with `Connection: close`, milliseconds. The default of 200 fits a
   * router that drains first, as tsdev's does; behind a Kubernetes Service use 2,000 or more.
   */
  drainMs?: number;
  /** How long requests in flight may take after that, milliseconds. Default 30,000. */
  graceMs?: number;
}

export interface Server {
  readonly port: number;
  readonly url: string;
  /** What SIGTERM does, without the exit. */
  stop(): Promise<void>;
}

/**
 * Listens, carries on unfinished runs of the app's workflows, and stops on SIGTERM or SIGINT with exit code 0.
 * Throws `port_taken`, and `invalid_config` for what is no port.
 *
 * @example
 * await serve(app);
 */
export async function serve(app: Hono, options: ServeOptions = {}): Promise<Server> {
  const { drainMs = 200, graceMs = 30_000 } = options;
  const port = portOf(options.port);
  const log = createLog({ component: "tsdev-http" });
  const state = stateOf(app);
  const engine = options.engine ?? (state && needsEngine(state.registry) ? await state.engine() : undefined);
  let draining = false;
  // Asked when the headers are written: so requests in flight at the signal are told as well, and none must be kept.
  class Answer extends ServerResponse {
    override writeHead(...head: unknown[]): this {
      if (draining) this.shouldKeepAlive = false;
      return super.writeHead(...(head as Parameters<ServerResponse["writeHead"]>));
    }
  }
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { ServerResponse: Answer as typeof ServerResponse },
  }) as HttpServer;

  await listen(server, port, options.hostname);
  if (engine && state) await engine.work(state.registry);
  const { port: taken } = server.address() as AddressInfo;
  const url = `http://${options.hostname ?? "localhost"}:${taken}`;
  log.info(`listening on ${url}`);

  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      draining = true;
      if (state) state.draining = true;
      await sleep(drainMs);
      state?.stopping.abort();
      await close(server, graceMs);
      await engine?.close();
    })();
    return stopped;
  };

  // Kept for more than one signal: a group that is ended sends it here and through `npm start` once more.
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopped) return;
    log.info(`${signal}: stopping`);
    stop().then(
      () => process.exit(0),
      (error) => {
        log.error("did not stop cleanly", { error });
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  devHost()?.onReload(undefined, () => {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  });
  return {
    port: taken,
    url,
    stop: async () => {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
      await stop();
    },
  };
}

/** Without workflows and what leads to them nothing is left to carry on. */
function needsEngine({ workflows, triggers }: Registry): boolean {
  return workflows.size > 0 || triggers.size > 0;
}

/** An empty PORT counts as none: Node would take a free port for it, and a pipe for a text. */
function portOf(asked: number | undefined): number {
  const text = process.env.PORT?.trim() || "3000";
  const port = asked ?? Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new TsdevError("invalid_config", {
    message: asked === undefined ? `PORT is "${text}", which is no port` : `${asked} is no port`,
    fix: "give a whole number from 0 (a free one) to 65535",
    path: asked === undefined ? "PORT" : "port",
  });
}

function listen(server: HttpServer, port: number, hostname: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(
        new TsdevError("port_taken", {
          message: `port ${port} is in use`,
          fix: "set PORT to a free one",
          cause: error,
        }),
      );
    });
    server.listen(port, hostname, resolve);
  });
}

/** Stops listening, waits for what is in flight, and cuts what takes longer than the grace. */
async function close(server: HttpServer, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(cut);
}
