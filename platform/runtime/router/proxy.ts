// The reverse proxy: takes requests from the listening socket to an instance and back, without owning any state of its own.
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import {
  brokeOff,
  controlPlaneAway,
  noInstance,
  nothingDeployed,
  type OwnAnswer,
  renderAnswer,
  scaledToZero,
} from "./answer.ts";
import { hasBody, requestHeaders, responseHeaders, trailerPairs } from "./headers.ts";
import { eventStreams, type RequestMetrics } from "./request-metrics.ts";
import { type RoutingTable, route } from "./table.ts";
import { forwardUpgrade } from "./upgrade.ts";
import { maxHeaderSize, type Outcome, Upstream, type Upstreams } from "./upstreams.ts";

/** How long a request is held while the instance it needs is being started again. */
const holdMs = 2000;
/** More than this many held requests are turned away, so that a dead service cannot fill the router's memory. */
const maxHeld = 2000;
interface Forward {
  /** True when the client went away. */
  gone(): boolean;
  attempt(upstream: Upstream, fresh: boolean): Promise<Outcome>;
  answer(own: OwnAnswer): void;
}

/** Builds the server; it does not listen yet. `table` is asked for every request. */
export function createProxy(upstreams: Upstreams, table: () => RoutingTable, requests: RequestMetrics): Server {
  let held = 0;
  let controlPlane: Upstream | undefined;

  const controlPlaneUpstream = (): Upstream | undefined => {
    const address = table().controlPlane;
    if (!address) return undefined;
    if (controlPlane?.target.port !== address.port || controlPlane.target.host !== address.host) {
      controlPlane = new Upstream({ id: "control-plane", ...address });
    }
    return controlPlane;
  };

  /** Waits for a change of the table, 50 ms at most. */
  const nextChange = () =>
    new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        upstreams.off("changed", done);
        resolve();
      };
      const timer = setTimeout(done, 50);
      upstreams.on("changed", done);
    });

  async function forward(host: string | undefined, to: Forward): Promise<void> {
    const began = performance.now();
    const refused = new Set<Upstream>();
    let stale = 0;
    let broken = false;
    let holding = false;
    try {
      while (!to.gone()) {
        // Looked up anew each time round: a switch may have happened while the request was held.
        const where = route(table(), host);
        if (where.to === "nowhere") return to.answer(nothingDeployed());
        const upstream = where.to === "control-plane" ? controlPlaneUpstream() : upstreams.pick(where.group, refused);
        if (where.to === "control-plane" && !upstream) return to.answer(controlPlaneAway());
        if (upstream) {
          const outcome = await to.attempt(upstream, stale >= 2);
          if (outcome === "done") return;
          if (outcome === "stale") stale++;
          else if (outcome === "broken") {
            // Once, and only where another instance stands by: a request that kills what it reaches must not reach them all.
            refused.add(upstream);
            const again = !broken && !upstream.retired && where.to === "group";
            const another = again && upstreams.pick(where.group, refused);
            if (!another) return to.answer(brokeOff());
            broken = true;
            upstreams.refused(upstream);
          } else if (where.to === "control-plane") return to.answer(controlPlaneAway());
          else {
            upstreams.refused(upstream);
            refused.add(upstream);
          }
          continue;
        }
        if (where.to === "group" && upstreams.expected(where.group) === 0) return to.answer(scaledToZero());
        if (performance.now() - began >= holdMs || (!holding && held >= maxHeld)) return to.answer(noInstance());
        if (!holding) {
          holding = true;
          held++;
        }
        await nextChange();
        refused.clear();
      }
    } finally {
      if (holding) held--;
    }
  }

  const server = createServer({
    maxHeaderSize,
    keepAliveTimeout: 65_000,
    headersTimeout: 60_000,
    // Bodies may take as long as they take; the headers may not.
    requestTimeout: 0,
    // Other upgrades (curl's h2c) are offers that a server may ignore: they stay ordinary requests.
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    requests.watch(route(table(), request.headers.host), request, response);
    void forward(request.headers.host, {
      gone: () => response.destroyed,
      attempt: (upstream, fresh) => forwardRequest(upstreams, upstream, request, response, fresh),
      answer: (own) => answerRequest(own, request, response),
    });
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    void forward(request.headers.host, {
      gone: () => socket.destroyed,
      attempt: (upstream) => forwardUpgrade(upstreams, upstream, request, socket, head),
      answer: (own) => {
        const { headers, body } = renderAnswer(own, request);
        const lines = [
          `HTTP/1.1 ${own.status} ${own.status === 404 ? "Not Found" : "Unavailable"}`,
          "Connection: close",
        ];
        for (let index = 0; index < headers.length; index += 2) lines.push(`${headers[index]}: ${headers[index + 1]}`);
        socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
      },
    });
  });
  return server;
}

function answerRequest(own: OwnAnswer, request: IncomingMessage, response: ServerResponse): void {
  if (response.destroyed || response.headersSent) return void response.destroy();
  const { headers, body } = renderAnswer(own, request);
  // What is left of an unread body would be taken for the next request.
  if (hasBody(request) && !request.complete) headers.push("Connection", "close");
  response.writeHead(own.status, headers);
  response.end(request.method === "HEAD" ? undefined : body);
  request.resume();
}

const repeatable = new Set(["GET", "HEAD", "OPTIONS"]);

function forwardRequest(
  upstreams: Upstreams,
  upstream: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  fresh: boolean,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const body = hasBody(request);
    let connected = false;
    let answered = false;
    let outgoing: ClientRequest;
    try {
      outgoing = httpRequest({
        host: upstream.target.host,
        port: upstream.target.port,
        method: request.method,
        path: request.url,
        headers: requestHeaders(request),
        agent: fresh ? false : upstream.agent,
        maxHeaderSize,
      });
    } catch {
      answerRequest(brokeOff(), request, response);
      return resolve("done");
    }
    upstreams.begin(upstream);
    let counted = true;
    const uncount = () => {
      if (!counted) return;
      counted = false;
      upstreams.end(upstream);
    };
    const abort = () => {
      if (!response.writableFinished) outgoing.destroy();
    };
    response.once("close", abort);

    const send = () => {
      connected = true;
      if (!body) return;
      // The body is touched only once there is a connection: a refused request can go to another instance whole.
      request.pipe(outgoing, { end: false });
      request.once("end", () => {
        outgoing.addTrailers(trailerPairs(request));
        outgoing.end();
      });
    };
    outgoing.once("socket", (socket) => {
      if (socket.connecting) socket.once("connect", send);
      else send();
    });
    if (!body) outgoing.end();

    outgoing.once("response", (incoming) => {
      answered = true;
      try {
        const chunked = incoming.headers["transfer-encoding"] !== undefined && request.httpVersion === "1.1";
        const trailers = chunked && request.method !== "HEAD";
        response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, responseHeaders(incoming, trailers));
        response.flushHeaders();
      } catch {
        outgoing.destroy();
        return answerRequest(brokeOff(), request, response);
      }
      if (/^text\/event-stream\b/i.test(incoming.headers["content-type"] ?? "")) {
        eventStreams.add(response);
        upstreams.hold(upstream, outgoing);
        outgoing.once("close", () => upstreams.release(upstream, outgoing));
        uncount();
      }
      incoming.pipe(response, { end: false });
      incoming.once("end", () => {
        response.addTrailers(trailerPairs(incoming));
        response.end();
      });
      incoming.on("error", () => {});
      incoming.once("close", () => {
        if (!incoming.complete) response.destroy();
      });
    });

    let outcome: Outcome = "done";
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      if (answered || response.destroyed) return;
      const safe = !body && repeatable.has(request.method ?? "") && !error.code?.startsWith("HPE_");
      if (!connected) outcome = "refused";
      else if (safe) outcome = outgoing.reusedSocket ? "stale" : "broken";
      else {
        request.unpipe(outgoing);
        answerRequest(brokeOff(), request, response);
      }
    });
    outgoing.once("close", () => {
      response.off("close", abort);
      uncount();
      resolve(outcome);
    });
  });
}
