// Determinism: inside a replayed request randomness and the clock come from the request, so that two versions see the same.
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { currentScope, type Determinism } from "../request-scope.ts";

// Kept before anything is patched.
const { createHash } = crypto;
const RealDate = Date;
const realNow = Date.now;

// A clock that stands still makes `while (Date.now() < end)` endless.
const readsPerMillisecond = 1_000;

/** The streams of one request: one for each kind, so that a draw of one kind does not shift the others. */
export class RequestDeterminism implements Determinism {
  readonly #seed: string;
  readonly #start: number | undefined;
  readonly #draws = new Map<string, number>();
  #reads = 0;

  /** `start` in milliseconds since the epoch; without it the clock is the real one. */
  constructor(seed: string, start: number | undefined) {
    this.#seed = seed;
    this.#start = start;
  }

  now(): number {
    if (this.#start === undefined) return realNow();
    this.#reads += 1;
    return this.#start + Math.floor(this.#reads / readsPerMillisecond);
  }

  bytes(kind: string, length: number): Buffer {
    const draw = this.#draws.get(kind) ?? 0;
    this.#draws.set(kind, draw + 1);
    const parts: Buffer[] = [];
    for (let block = 0; block * 32 < length; block += 1) {
      parts.push(createHash("sha256").update(`${this.#seed}\0${kind}\0${draw}\0${block}`).digest());
    }
    return Buffer.concat(parts).subarray(0, length);
  }

  /** At least 0, less than 1, 53 bits. */
  fraction(kind: string): number {
    return Number(this.bytes(kind, 8).readBigUInt64BE() >> 11n) / 2 ** 53;
  }

  uuid(): `${string}-${string}-${string}-${string}-${string}` {
    const bytes = this.bytes("uuid", 16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}

/** The value of `x-tsdev-replay-time`: milliseconds since the epoch, or an ISO date. */
export function replayTime(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const text = String(header);
  const time = /^\d+(\.\d+)?$/.test(text) ? Number(text) : RealDate.parse(text);
  return Number.isFinite(time) ? Math.trunc(time) : undefined;
}

function current(): Determinism | undefined {
  return currentScope()?.determinism;
}

/** Replaces randomness and the clock; outside requests both stay real, and timers always do. */
export function installDeterminism(): void {
  patchClock();
  const { random } = Math;
  Math.random = () => current()?.fraction("math") ?? random();
  patchCrypto();
  syncBuiltinESMExports();
}

function patchClock(): void {
  const now = () => current()?.now() ?? realNow();
  RealDate.now = now;
  const isReal = () => current() === undefined;
  // A proxy, because `Date()` without new, `instanceof` and subclasses have to go on working.
  globalThis.Date = new Proxy(RealDate, {
    construct(target, args, newTarget) {
      return Reflect.construct(target, args.length === 0 && !isReal() ? [now()] : args, newTarget) as object;
    },
    apply(target, self, args) {
      return isReal() ? Reflect.apply(target, self, args) : new RealDate(now()).toString();
    },
  });
  Object.defineProperty(RealDate.prototype, "constructor", {
    value: globalThis.Date,
    configurable: true,
    writable: true,
    enumerable: false,
  });
}

type WebCrypto = typeof crypto.webcrypto;
type Answered = (error: Error | null, value: unknown) => void;

function patchCrypto(): void {
  const { randomUUID, randomBytes, randomFillSync, randomFill, randomInt } = crypto;
  const uuid = (options?: crypto.RandomUUIDOptions) => current()?.uuid() ?? randomUUID(options);
  const bytes = (size: number, answer?: Answered) => {
    const streams = current();
    if (!streams || !Number.isInteger(size) || size < 0)
      return Reflect.apply(randomBytes, crypto, answer ? [size, answer] : [size]);
    const value = streams.bytes(`bytes-${size}`, size);
    if (!answer) return value;
    setImmediate(answer, null, value);
    return undefined;
  };
  const fillSync = (target: NodeJS.ArrayBufferView, offset = 0, size?: number) => {
    const streams = current();
    if (!streams)
      return Reflect.apply(randomFillSync, crypto, size === undefined ? [target, offset] : [target, offset, size]);
    fill(streams, target, offset, size);
    return target;
  };
  const fillLater = (target: NodeJS.ArrayBufferView, ...rest: unknown[]) => {
    const streams = current();
    const answer = rest.at(-1);
    if (!streams || typeof answer !== "function") return Reflect.apply(randomFill, crypto, [target, ...rest]);
    const [offset, size] = rest.slice(0, -1) as [number?, number?];
    fill(streams, target, offset ?? 0, size);
    setImmediate(answer as Answered, null, target);
    return undefined;
  };
  const int = (...args: unknown[]) => {
    const streams = current();
    const answer = typeof args.at(-1) === "function" ? (args.at(-1) as Answered) : undefined;
    const numbers = args.filter((arg) => typeof arg === "number");
    const [low, high] = numbers.length > 1 ? (numbers as [number, number]) : [0, numbers[0]];
    if (!streams || high === undefined || !(high > low)) return Reflect.apply(randomInt, crypto, args);
    const value = low + Math.floor(streams.fraction("int") * (high - low));
    if (!answer) return value;
    setImmediate(answer, null, value);
    return undefined;
  };
  Object.assign(crypto, {
    randomUUID: uuid,
    randomBytes: bytes,
    randomFillSync: fillSync,
    randomFill: fillLater,
    randomInt: int,
  });

  const web = Object.getPrototypeOf(crypto.webcrypto) as WebCrypto;
  const { getRandomValues, randomUUID: webUuid } = web;
  const values = function tsdevRandomValues(this: WebCrypto, target: NodeJS.ArrayBufferView): NodeJS.ArrayBufferView {
    const streams = current();
    if (!streams || target.byteLength > 65_536)
      return Reflect.apply(getRandomValues, this, [target]) as NodeJS.ArrayBufferView;
    fill(streams, target, 0, undefined);
    return target;
  };
  Object.defineProperty(web, "getRandomValues", {
    value: values,
    configurable: true,
    writable: true,
    enumerable: true,
  });
  Object.defineProperty(web, "randomUUID", {
    value(this: WebCrypto) {
      return current()?.uuid() ?? Reflect.apply(webUuid, this, []);
    },
    configurable: true,
    writable: true,
    enumerable: true,
  });
  // On the module it has a getter only.
  if (Object.getOwnPropertyDescriptor(crypto, "getRandomValues")?.configurable) {
    Object.defineProperty(crypto, "getRandomValues", {
      value: (target: NodeJS.ArrayBufferView) => values.call(crypto.webcrypto, target),
      configurable: true,
      writable: true,
      enumerable: true,
    });
  }
}

// `offset` and `size` count elements, as randomFill has it.
function fill(streams: Determinism, target: NodeJS.ArrayBufferView, offset: number, size: number | undefined): void {
  const width = "BYTES_PER_ELEMENT" in target ? Number(target.BYTES_PER_ELEMENT) : 1;
  const from = offset * width;
  const length = size === undefined ? target.byteLength - from : size * width;
  const bytes = streams.bytes(`fill-${length}`, length);
  bytes.copy(Buffer.from(target.buffer, target.byteOffset, target.byteLength), from);
}
