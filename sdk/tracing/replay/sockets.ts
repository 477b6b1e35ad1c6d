// Sockets while replaying: what is not listed cannot be reached, whichever client tries.
import { Socket } from "node:net";
import { blockedCode, type Destination, type Sink } from "./sink.ts";

/** `tls.connect` and every database driver end here too. Datagrams do not. */
export function guardSockets(sink: Sink): void {
  const { connect } = Socket.prototype;
  Socket.prototype.connect = function guardedConnect(this: Socket, ...args: unknown[]): Socket {
    const to = destinationOf(args);
    if (!to || sink.allows(to)) return Reflect.apply(connect, this, args) as Socket;
    const error = Object.assign(new Error(`${shown(to)} may not be reached while replaying`), {
      code: blockedCode,
      syscall: "connect",
      ...("path" in to ? { address: to.path } : { address: to.host, port: to.port }),
    });
    sink.reportBlocked(to);
    process.nextTick(() => this.destroy(error));
    return this;
  } as typeof connect;
}

function shown(to: Destination): string {
  return "path" in to ? to.path : `${to.host}:${to.port}`;
}

// net.connect hands its normalized arguments over as one list.
function destinationOf(args: unknown[]): Destination | undefined {
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  if (typeof first === "object" && first !== null) {
    const { path, host, port } = first as { path?: string; host?: string; port?: number | string };
    if (typeof path === "string") return { path };
    return port === undefined ? undefined : { host: host ?? "localhost", port: Number(port) };
  }
  if (typeof first === "string" && !/^\d+$/.test(first)) return { path: first };
  if (first === undefined) return undefined;
  return { host: typeof second === "string" ? second : "localhost", port: Number(first) };
}
