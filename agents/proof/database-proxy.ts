// Database proxy: one per side, on the app's way to Postgres; counts round trips and adds a stated delay to each.
import { connect, createServer, type Server, type Socket } from "node:net";

/** First messages that are no startup: a client asks for TLS or GSS encryption, or cancels a query. */
const encryptionRequests = new Set([80877103, 80877104]);
const query = 0x51;
const sync = 0x53;
const functionCall = 0x46;

export interface DatabaseProxy {
  readonly port: number;
  /** Round trips since the start: simple queries, and Syncs of the extended protocol. */
  roundTrips(): number;
  /** Requests that Postgres has not yet answered. */
  pending(): number;
  /** Adds this long to every round trip, per connection, so that parallel queries overlap as over a network. */
  setDelay(ms: number): void;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 and passes connections to the server. TLS is refused: the way is local. */
export async function startDatabaseProxy(target: { host: string; port: number }): Promise<DatabaseProxy> {
  let trips = 0;
  let waiting = 0;
  let delayMs = 0;
  const sockets = new Set<Socket>();

  const server: Server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: target.host, port: target.port, noDelay: true });
    sockets.add(client).add(upstream);
    const release = delayedWriter(upstream, () => delayMs);
    const counter = requestCounter();
    let open = 0;

    client.on("data", (chunk: Buffer) => {
      const { begun, forward, refuse } = counter(chunk);
      if (refuse) client.write("N");
      trips += begun;
      open += begun;
      waiting += begun;
      if (forward.length > 0) release(forward, begun > 0);
    });
    const ready = readyCounter();
    upstream.on("data", (chunk: Buffer) => {
      const answered = Math.min(ready(chunk), open);
      open -= answered;
      waiting -= answered;
      client.write(chunk);
    });
    const end = () => {
      waiting -= open;
      open = 0;
      client.destroy();
      upstream.destroy();
      sockets.delete(client);
      sockets.delete(upstream);
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
  });
  await new Promise<void>((settle, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", settle);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    roundTrips: () => trips,
    pending: () => waiting,
    setDelay: (ms) => {
      delayMs = ms;
    },
    close: () =>
      new Promise((settle) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => settle());
      }),
  };
}

/** Frames the client's messages: one type byte and a length, except the first, which has no type. */
function requestCounter() {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  return (chunk: Buffer): { begun: number; forward: Buffer; refuse: boolean } => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    // What was held back was already sent on, except a part of the startup.
    let forward = started ? chunk : Buffer.alloc(0);
    let begun = 0;
    let refuse = false;
    if (!started) {
      if (data.length >= 8 && encryptionRequests.has(data.readInt32BE(4))) {
        refuse = true;
        data = data.subarray(8);
      }
      if (data.length >= 4 && data.length >= data.readInt32BE(0)) {
        started = true;
        forward = data;
        data = data.subarray(data.readInt32BE(0));
      }
    }
    if (started) {
      while (data.length >= 5) {
        const length = 1 + data.readInt32BE(1);
        const type = data[0];
        // A large bind arrives in parts; the message counts when it is whole.
        if (data.length < length) break;
        if (type === query || type === sync || type === functionCall) begun += 1;
        data = data.subarray(length);
      }
    }
    rest = data;
    return { begun, forward, refuse };
  };
}

/** Counts ReadyForQuery messages from the server: each ends one round trip. */
function readyCounter() {
  let rest: Buffer = Buffer.alloc(0);
  let skip = 0;
  return (chunk: Buffer): number => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let count = 0;
    for (;;) {
      if (skip > 0) {
        const step = Math.min(skip, data.length);
        data = data.subarray(step);
        skip -= step;
        if (skip > 0) break;
      }
      if (data.length < 5) break;
      // The one byte answer to an encryption request never comes: the proxy gives it itself.
      if (data[0] === 0x5a) count += 1;
      skip = 1 + data.readInt32BE(1);
    }
    rest = skip > 0 ? Buffer.alloc(0) : data;
    return count;
  };
}

/** Writes in order, each chunk that begins a round trip after the delay. */
function delayedWriter(upstream: Socket, delay: () => number) {
  const queue: { chunk: Buffer; at: number }[] = [];
  let running = false;
  const run = () => {
    for (;;) {
      const next = queue[0];
      if (next === undefined) {
        running = false;
        return;
      }
      const left = next.at - performance.now();
      if (left > 0) {
        // A timer is up to a millisecond late: it ends early and the rest is polled.
        if (left > 1.2) setTimeout(run, left - 1.2);
        else setImmediate(run);
        return;
      }
      queue.shift();
      upstream.write(next.chunk);
    }
  };
  return (chunk: Buffer, roundTrip: boolean) => {
    const ms = delay();
    if (!running && (ms === 0 || !roundTrip)) {
      upstream.write(chunk);
      return;
    }
    queue.push({ chunk, at: roundTrip ? performance.now() + ms : 0 });
    if (!running) {
      running = true;
      run();
    }
  };
}
