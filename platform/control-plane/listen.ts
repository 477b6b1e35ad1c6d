// Listen: serves a Hono app on a loopback port, the wanted one or, where that is allowed, the next free one.
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import type { Hono } from "hono";
import { TsdevError } from "../../sdk/errors.ts";

const mostTries = 50;

export interface Listening {
  port: number;
  url: string;
  /** Stops accepting, ends idle and streaming connections, resolves when closed. */
  close(): Promise<void>;
}

/** Throws `port_taken` when the wanted port is in use and no other may be taken. `port: 0` takes any free one. */
export async function listen(app: Hono, options: { port: number; orNextFree?: boolean }): Promise<Listening> {
  for (let tries = 0; ; tries++) {
    try {
      return await listenOn(app, options.port === 0 ? 0 : options.port + tries);
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (taken && options.orNextFree && tries < mostTries) continue;
      if (!taken) throw error;
      throw new TsdevError("port_taken", {
        message: `port ${options.port} is in use`,
        fix: "stop what uses it, or give --port 0 for a free one",
        cause: error,
      });
    }
  }
}

function listenOn(app: Hono, port: number): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, port, hostname: "127.0.0.1" }, (info) => {
      resolve({
        port: info.port,
        url: `http://127.0.0.1:${info.port}`,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            (server as Server).closeAllConnections();
          }),
      });
    });
    server.once("error", reject);
  });
}
