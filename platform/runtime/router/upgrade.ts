// WebSocket upgrades: the handshake goes through the parser on both sides, after it the two sockets are joined.
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { maxHeaderSize, type Outcome, type Upstream, type Upstreams } from "./upstreams.ts";

function writeHead(socket: Duplex, response: IncomingMessage, extra: string[]): void {
  const headers = [...responseHeaders(response, false), ...extra];
  const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage ?? ""}`];
  for (let index = 0; index < headers.length; index += 2) lines.push(`${headers[index]}: ${headers[index + 1]}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** Joins two sockets until either closes; what is already written still goes out. */
function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on("error", () => from.destroy());
    from.once("close", () => (to as Socket).destroySoon());
  }
}

/** Forwards an upgrade; an instance that declines it has its answer passed on and the connection closed. */
export function forwardUpgrade(
  upstreams: Upstreams,
  upstream: Upstream,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let outcome: Outcome = "done";
    let connected = false;
    let counted = true;
    const outgoing = httpRequest({
      host: upstream.target.host,
      port: upstream.target.port,
      method: request.method,
      path: request.url,
      headers: [...requestHeaders(request), "Connection", "Upgrade", "Upgrade", request.headers.upgrade ?? "websocket"],
      agent: false,
      maxHeaderSize,
    });
    upstreams.begin(upstream);
    const uncount = () => {
      if (!counted) return;
      counted = false;
      upstreams.end(upstream);
    };
    const abort = () => outgoing.destroy();
    socket.once("close", abort);
    outgoing.once("socket", (connection) => connection.once("connect", () => (connected = true)));
    outgoing.once("upgrade", (response, connection, rest) => {
      socket.off("close", abort);
      writeHead(socket, response, ["Connection", "Upgrade", "Upgrade", response.headers.upgrade ?? "websocket"]);
      const long = {
        destroy() {
          connection.destroy();
          socket.destroy();
        },
      };
      upstreams.hold(upstream, long);
      connection.once("close", () => upstreams.release(upstream, long));
      if (rest.length > 0) socket.write(rest);
      if (head.length > 0) connection.write(head);
      join(socket, connection);
      uncount();
      resolve("done");
    });
    outgoing.once("response", (response) => {
      writeHead(socket, response, ["Connection", "close"]);
      response.on("error", () => socket.destroy());
      response.pipe(socket);
    });
    outgoing.on("error", () => {
      if (!connected && !socket.destroyed) outcome = "refused";
      else socket.destroy();
    });
    outgoing.once("close", () => {
      socket.off("close", abort);
      uncount();
      resolve(outcome);
    });
    outgoing.end();
  });
}
