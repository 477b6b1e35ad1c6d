// Exit: what still waits is sent when the process ends, however it ends, and the app's own handlers keep their say.
import { Worker } from "node:worker_threads";
import type { Delivery, Parcel } from "./delivery.ts";

const flushLimitMs = 1_000;
// A collector that is already known to be away gets one more chance, but not the app's time.
const awayLimitMs = 200;

// Runs in a thread of its own with nothing inherited: in the `exit` event the main thread can only wait.
const senderSource = `
const { workerData } = require("node:worker_threads");
const { parcels, shared } = workerData;
const done = () => { const flag = new Int32Array(shared); Atomics.store(flag, 0, 1); Atomics.notify(flag, 0); };
let left = parcels.length;
const one = () => { left -= 1; if (left === 0) done(); };
for (const { url, headers, body } of parcels) {
  const { request } = url.startsWith("https:") ? require("node:https") : require("node:http");
  const sent = request(url, { method: "POST", headers: { ...headers, "content-length": body.byteLength }, timeout: ${flushLimitMs} });
  sent.on("response", (answer) => { answer.resume(); });
  sent.on("timeout", () => sent.destroy());
  sent.on("error", () => {});
  sent.on("close", one);
  sent.end(body);
}
`;

/** Anything that collects items for a while. */
export type AnyDelivery = Pick<Delivery<unknown>, "queued" | "away" | "flush" | "takeAll">;

/** Flushes on `beforeExit`, on the signals that end a process, and in `exit` itself. */
export function flushAtExit(deliveries: readonly AnyDelivery[]): void {
  const flush = () =>
    Promise.all(deliveries.map((delivery) => delivery.flush(delivery.away ? awayLimitMs : flushLimitMs)));
  let gaveUp = false;
  process.on("beforeExit", () => {
    // A flush is work, after which `beforeExit` comes again.
    if (gaveUp || deliveries.every((delivery) => delivery.queued === 0)) return;
    void flush().then(() => {
      gaveUp = deliveries.some((delivery) => delivery.queued > 0);
    });
  });
  process.on("exit", () => {
    if (gaveUp) return;
    const parcels = deliveries.filter((delivery) => !delivery.away).flatMap((delivery) => delivery.takeAll());
    sendSynchronously(parcels);
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) flushOnSignal(signal, flush);
}

function sendSynchronously(parcels: Parcel[]): void {
  if (parcels.length === 0) return;
  try {
    const shared = new SharedArrayBuffer(4);
    const worker = new Worker(senderSource, { eval: true, env: {}, execArgv: [], workerData: { parcels, shared } });
    worker.on("error", () => {});
    worker.unref();
    Atomics.wait(new Int32Array(shared), 0, 0, flushLimitMs);
  } catch {
    // An exit must not fail because of telemetry.
  }
}

/**
 * A listener turns off the engine's own way of ending on a signal. Ours flushes and then lets the signal act as it would
 * have; where the app listens too, the app decides. It is hidden from `process.listeners` and `listenerCount`, because
 * libraries such as signal-exit end the process themselves only when they are the sole listeners.
 */
function flushOnSignal(signal: "SIGTERM" | "SIGINT", flush: () => Promise<unknown>): void {
  const onSignal = () => {
    if (process.listenerCount(signal) > 0) {
      void flush();
      return;
    }
    void flush().finally(() => {
      process.removeListener(signal, onSignal);
      process.kill(process.pid, signal);
    });
  };
  process.on(signal, onSignal);
  hideListener(signal, onSignal);
}

type Listener = (...args: unknown[]) => void;

function hideListener(signal: string, hidden: Listener): void {
  const { listeners, rawListeners, listenerCount } = process;
  const without = (found: unknown) => (found as Listener[]).filter((listener) => listener !== hidden);
  const own = {
    listeners: (event: string) => without(Reflect.apply(listeners, process, [event])),
    rawListeners: (event: string) => without(Reflect.apply(rawListeners, process, [event])),
    listenerCount: (event: string, listener?: Listener) => {
      const count = Reflect.apply(listenerCount, process, [event, listener].slice(0, listener ? 2 : 1)) as number;
      const ours = event === signal && !listener && (Reflect.apply(rawListeners, process, [event]) as Listener[]);
      return Array.isArray(ours) && ours.length > without(ours).length ? count - 1 : count;
    },
  };
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(process, name, { value, configurable: true, writable: true, enumerable: false });
  }
}
