// Held port: one real HTTP server that stays while the app's own servers come and go behind it.
import type { EventEmitter } from "node:events";
import { createServer, type IncomingMessage, Server, type ServerResponse } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { TsdevError } from "../errors.ts";
import { toResponse } from "../http/problem.ts";

/** Events that Node emits for a client's message; each goes to the server whose turn it is when it comes. */
const forwarded = new Set(["request", "upgrade", "connect", "checkContinue", "checkExpectation", "clientError"]);
const limits = ["keepAliveTimeout", "headersTimeout", "requestTimeout", "timeout", "maxHeadersCount"] as const;

/**
 * Invariants: a request is answered by the server that was current when its head had come; the port never refuses; of
 * two servers that listen on it the later one is current, until it closes.
 */
export class HeldPort {
  readonly port: number;
  readonly #front: Server;
  readonly #servers: Server[] = [];
  readonly #open = new Set<ServerResponse>();
  #retired = false;
  /** Why the newest code is not the one that answers; null when it is. */
  problem: { text: string } | null = null;

  constructor(port: number) {
    this.port = port;
    const front = createServer();
    this.#front = front;
    const plainEmit = (NetServer.prototype as EventEmitter).emit;
    const plainCount = (NetServer.prototype as EventEmitter).listenerCount;
    // Own properties: instrumentation patches the prototype, and would see each request twice.
    front.emit = (event: string, ...args: unknown[]) =>
      forwarded.has(event) ? this.#forward(event, args) : plainEmit.call(front, event, ...args);
    // From here on Node keeps track of connections, also of those that another process accepted.
    front.emit("listening");
    // Node asks whether anybody listens before it treats a request as an upgrade.
    front.listenerCount = (event: string | symbol, ...rest: [never?]) =>
      forwarded.has(String(event)) ? (this.current?.listenerCount(event) ?? 0) : plainCount.call(front, event, ...rest);
  }

  get current(): Server | undefined {
    return this.#servers.at(-1);
  }

  /** A connection that another process accepted. */
  accept(socket: Socket): void {
    socket.allowHalfOpen = true;
    this.#front.emit("connection", socket);
  }

  /** Keeps no connection open from now on; resolves when no request is in flight. */
  async retire(): Promise<void> {
    this.#retired = true;
    for (const response of this.#open) if (!response.headersSent) response.shouldKeepAlive = false;
    this.#front.closeIdleConnections();
    while (this.#open.size > 0) await new Promise((resolve) => [...this.#open][0]?.once("close", resolve));
  }

  /** Listens itself: a port that nobody accepts for it. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#front.once("error", reject);
      realListen.call(this.#front, { port: this.port, host: "localhost" }, resolve);
    });
  }

  /** Makes `server` current: what its `listen` does. */
  take(server: Server, listening: (() => void) | undefined): void {
    const { port } = this;
    let inFlight = 0;
    let closing = false;
    const over = () => {
      if (closing && inFlight === 0) server.emit("close");
    };
    server.prependListener("request", (_request: IncomingMessage, response: ServerResponse) => {
      inFlight += 1;
      response.once("close", () => {
        inFlight -= 1;
        over();
      });
    });
    Object.defineProperty(server, "listening", { get: () => !closing, configurable: true });
    server.address = () => ({ address: "127.0.0.1", family: "IPv4", port });
    server.close = ((callback?: (error?: Error) => void) => {
      if (callback) server.once("close", () => callback());
      if (!closing) {
        closing = true;
        this.drop(server);
        queueMicrotask(over);
      }
      return server;
    }) as typeof server.close;
    for (const name of limits) if (server[name] !== undefined) this.#front[name] = server[name] as never;
    this.#servers.push(server);
    if (listening) server.once("listening", listening);
    process.nextTick(() => server.emit("listening"));
  }

  /** Takes a server out; the one before it answers again, if it was not taken out as well. */
  drop(server: Server): void {
    const at = this.#servers.indexOf(server);
    if (at >= 0) this.#servers.splice(at, 1);
  }

  /** Forgets those that a newer one stands before; their requests in flight go on. */
  settle(): void {
    this.#servers.splice(0, this.#servers.length - 1);
  }

  /** Takes out those that came after `server`. */
  backTo(server: Server | undefined): void {
    const at = server ? this.#servers.indexOf(server) : -1;
    this.#servers.splice(at + 1);
  }

  #begins(response: ServerResponse): void {
    this.#open.add(response);
    response.once("close", () => this.#open.delete(response));
    if (this.#retired) response.shouldKeepAlive = false;
    if (this.problem) response.setHeader("tsdev-reload-error", asHeader(this.problem.text));
  }

  #forward(event: string, args: unknown[]): boolean {
    const server = this.current;
    if (server) {
      if (event === "request") this.#begins(args[1] as ServerResponse);
      return server.emit(event, ...args);
    }
    if (event === "request") void refuse(args[1] as ServerResponse, this.problem);
    return event === "request";
  }
}

async function refuse(response: ServerResponse, problem: { text: string } | null): Promise<void> {
  const answer = toResponse(
    new TsdevError("unavailable", {
      message: problem?.text ?? "the app does not listen on this port yet",
      fix: problem ? "correct the file; the next edit is loaded at once" : "let it listen on process.env.PORT",
    }),
  );
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(await answer.text());
}

/** Headers hold printable ASCII. */
function asHeader(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, 500);
}

const realListen = NetServer.prototype.listen;

/** Lets every `listen` of an HTTP server on a port of its own go to the port that `hold` answers, if it answers one. */
export function interceptListen(hold: (port: number) => HeldPort | undefined): void {
  NetServer.prototype.listen = function (this: NetServer, ...args: unknown[]) {
    const [first] = args;
    const asked = typeof first === "object" && first !== null ? (first as { port?: unknown }).port : first;
    const port = asked === undefined || asked === null ? Number.NaN : Number(asked);
    const callback = args.findLast((arg) => typeof arg === "function") as (() => void) | undefined;
    const held = this instanceof Server && Number.isInteger(port) && port > 0 ? hold(port) : undefined;
    if (!held) return realListen.apply(this, args as never);
    held.take(this as Server, callback);
    return this;
  } as typeof NetServer.prototype.listen;
}
