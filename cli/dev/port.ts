// Port: the address of an app under `tsdev dev`, held for as long as the command runs, whatever becomes of the app's process.
import { createServer, type Server, type Socket } from "node:net";
import { TsdevError } from "../../sdk/errors.ts";

const firstPort = 3000;
const mostTried = 100;
/** Connections that wait for the app's process. */
const mostWaiting = 1_000;

export class Port {
  readonly number: number;
  readonly #servers: Server[];
  #waiting: Socket[] = [];
  #hand: ((socket: Socket) => void) | undefined;

  private constructor(number: number, servers: Server[]) {
    this.number = number;
    this.#servers = servers;
    for (const server of servers) server.on("connection", (socket) => this.#came(socket));
  }

  /** This port, or 3000 or the next free one. Throws `port_taken`. */
  static async hold(asked: number | undefined): Promise<Port> {
    if (asked !== undefined) {
      const held = await listenOnLoopback(asked);
      if (held) return new Port(held.port, held.servers);
      throw new TsdevError("port_taken", { message: `port ${asked} is in use`, fix: "give another --port, or 0" });
    }
    for (let port = firstPort; port < firstPort + mostTried; port++) {
      const held = await listenOnLoopback(port);
      if (held) return new Port(held.port, held.servers);
    }
    throw new TsdevError("port_taken", {
      message: `ports ${firstPort} to ${firstPort + mostTried - 1} are in use`,
      fix: "give a free --port, or 0",
    });
  }

  /** Hands connections on from now, those that waited first; undefined: they wait. */
  handTo(hand: ((socket: Socket) => void) | undefined): void {
    this.#hand = hand;
    if (!hand) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const socket of waiting) if (!socket.destroyed) hand(socket);
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#waiting) socket.destroy();
  }

  #came(socket: Socket): void {
    if (this.#hand) {
      this.#hand(socket);
      return;
    }
    if (this.#waiting.length >= mostWaiting) this.#waiting.shift()?.destroy();
    this.#waiting.push(socket);
  }
}

/** Both loopback addresses, as browsers and clients take `localhost` for either. Null when one is taken. */
async function listenOnLoopback(port: number): Promise<{ port: number; servers: Server[] } | null> {
  const first = await listen(port, "127.0.0.1");
  if (first === "taken" || first === "absent") return null;
  const address = first.address();
  const number = typeof address === "object" && address ? address.port : port;
  const second = await listen(number, "::1");
  if (second === "absent") return { port: number, servers: [first] };
  if (second !== "taken") return { port: number, servers: [first, second] };
  first.close();
  return port === 0 ? listenOnLoopback(0) : null;
}

function listen(port: number, host: string): Promise<Server | "taken" | "absent"> {
  return new Promise((resolve, reject) => {
    // Nothing is read here: the app's process reads what it is handed.
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve("taken");
      else if (error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT") resolve("absent");
      else reject(error);
    });
    server.listen(port, host, () => resolve(server));
  });
}
