// Delivery: sends items in batches, keeps them while the collector is away, and never holds the app up.
import * as http from "node:http";
import * as https from "node:https";
import { gzip, gzipSync } from "node:zlib";
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";

// Kept before anything is patched: what is sent here is neither traced, recorded nor redirected.
const { request: httpRequest } = http;
const { request: httpsRequest } = https;

export interface DeliveryOptions<T> {
  url: string;
  headers: Record<string, string>;
  contentType: string;
  /** Called off the hot path. */
  encode(items: T[]): Uint8Array;
  /** Items of one request. */
  maxItems: number;
  /** How long an item waits for company, milliseconds. */
  delayMs: number;
  /** Items kept in all; past it the oldest are dropped. */
  maxQueued: number;
}

/** A request's worth of items; `body` is as the headers say. */
export interface Parcel {
  url: string;
  headers: Record<string, string>;
  body: Uint8Array;
}

interface Batch {
  count: number;
  plain: Uint8Array | undefined;
  body: Uint8Array | undefined;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;
const requestTimeoutMs = 10_000;
const retryableStatus = new Set([408, 429, 500, 502, 503, 504]);

/** What became of one request. */
type Outcome = { kind: "taken" } | { kind: "refused"; status: number } | { kind: "away"; retryAfterMs: number };

/**
 * Invariants: an item is in `#pending` or in one batch; a batch leaves `#batches` when it was taken, refused for good,
 * or is the oldest while more than `maxQueued` items wait; at most one request is under way.
 */
export class Delivery<T> {
  readonly #options: DeliveryOptions<T>;
  readonly #headers: Record<string, string>;
  readonly #agent: http.Agent;
  readonly #target: URL;
  readonly #compress: boolean;
  #pending: T[] = [];
  #batches: Batch[] = [];
  #queued = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #sealing = false;
  #sending: Promise<Outcome> | undefined;
  #request: http.ClientRequest | undefined;
  #failures = 0;
  #resumeAt = 0;
  #warned = false;

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
    this.#target = new URL(options.url);
    // Within one machine bytes are cheaper to send than to compress.
    this.#compress = !isLoopback(this.#target.hostname);
    this.#headers = {
      ...options.headers,
      "content-type": options.contentType,
      ...(this.#compress ? { "content-encoding": "gzip" } : {}),
    };
    const agentOptions = { keepAlive: true, maxSockets: 2 };
    this.#agent = this.#target.protocol === "https:" ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  }

  /** Items that wait. */
  get queued(): number {
    return this.#queued;
  }

  /** Items that were given up because too many waited or the collector refused them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether the last request failed. */
  get away(): boolean {
    return this.#failures > 0;
  }

  add(item: T): void {
    this.#pending.push(item);
    this.#queued += 1;
    if (this.#queued > this.#options.maxQueued) this.#dropOldest();
    if (this.#pending.length === this.#options.maxItems) this.#schedule(0);
    else if (this.#timer === undefined) this.#schedule(this.#options.delayMs);
  }

  /** Sends what waits now, without pauses; resolves when all is sent, a request fails, or the time is over. */
  async flush(limitMs: number): Promise<void> {
    if (this.#queued === 0) return;
    // Everything else here is unref'd: this timer alone keeps the process until the flush is over.
    let over = false;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((done) => {
      timer = setTimeout(() => {
        over = true;
        done();
      }, limitMs);
    });
    const work = async () => {
      while (!over && this.#queued > 0) {
        this.#sealNow();
        const outcome = await (this.#sending ?? this.#sendFirst());
        if (outcome.kind === "away") return;
      }
    };
    await Promise.race([work(), deadline]);
    clearTimeout(timer);
  }

  /** Takes everything that waits, for a synchronous way out at the very end of the process. */
  takeAll(): Parcel[] {
    this.#sealNow();
    // What the kernel has already will arrive, and must not arrive twice.
    const gone = this.#sending !== undefined && isWritten(this.#request) ? 1 : 0;
    const parcels = this.#batches.slice(gone).map((batch) => ({
      url: this.#options.url,
      headers: this.#headers,
      body: this.#bodyOf(batch),
    }));
    this.#batches = [];
    this.#queued = 0;
    return parcels;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = outside(() => setTimeout(this.#tick, delayMs)).unref();
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    void this.#seal().then(() => this.#pump());
  };

  #bodyOf(batch: Batch): Uint8Array {
    batch.body ??= gzipSync(batch.plain ?? new Uint8Array(), { level: 1 });
    return batch.body;
  }

  /** Encodes and compresses what is pending; compression runs on the thread pool. */
  async #seal(): Promise<void> {
    if (this.#sealing) return;
    this.#sealing = true;
    try {
      while (this.#pending.length > 0) {
        const batch = this.#encodePending();
        if (!batch?.plain) continue;
        const plain = batch.plain;
        batch.body = await new Promise<Uint8Array>((done) => {
          gzip(plain, { level: 1 }, (error, body) => done(error ? gzipSync(plain) : body));
        });
        batch.plain = undefined;
      }
    } finally {
      this.#sealing = false;
    }
  }

  #sealNow(): void {
    while (this.#pending.length > 0) this.#encodePending();
  }

  #encodePending(): Batch | undefined {
    const items = this.#pending.splice(0, this.#options.maxItems);
    try {
      const bytes = this.#options.encode(items);
      const batch: Batch = this.#compress
        ? { count: items.length, plain: bytes, body: undefined }
        : { count: items.length, plain: undefined, body: bytes };
      this.#batches.push(batch);
      return batch;
    } catch (error) {
      this.#forget(items.length);
      this.#warn(`${items.length} items could not be encoded: ${String(error)}`);
      return undefined;
    }
  }

  #pump(): void {
    if (this.#sending || this.#batches.length === 0) return;
    const wait = this.#resumeAt - performance.now();
    if (wait > 0) {
      if (this.#timer === undefined) this.#schedule(wait);
      return;
    }
    void this.#sendFirst().then(() => this.#pump());
  }

  #sendFirst(): Promise<Outcome> {
    const batch = this.#batches[0];
    if (!batch) return Promise.resolve({ kind: "taken" });
    const body = this.#bodyOf(batch);
    this.#sending = outside(() => this.#post(body)).then((outcome) => {
      this.#sending = undefined;
      this.#settle(batch, outcome);
      return outcome;
    });
    return this.#sending;
  }

  #settle(batch: Batch, outcome: Outcome): void {
    if (outcome.kind === "away") {
      this.#failures += 1;
      const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** (this.#failures - 1));
      this.#resumeAt = performance.now() + Math.max(outcome.retryAfterMs, pause * (0.75 + Math.random() / 2));
      return;
    }
    this.#failures = 0;
    this.#resumeAt = 0;
    const index = this.#batches.indexOf(batch);
    if (index < 0) return;
    this.#batches.splice(index, 1);
    if (outcome.kind === "taken") {
      this.#queued -= batch.count;
      return;
    }
    this.#forget(batch.count);
    this.#warn(
      `${this.#options.url} refused telemetry with status ${outcome.status}; check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS`,
    );
  }

  #dropOldest(): void {
    this.#warn(
      `more than ${this.#options.maxQueued} items wait for ${this.#options.url}; from now on the oldest are dropped`,
    );
    // The first batch may be under way; it is small against the bound.
    const oldest = this.#batches[this.#sending ? 1 : 0];
    if (oldest) {
      this.#batches.splice(this.#batches.indexOf(oldest), 1);
      this.#forget(oldest.count);
    } else {
      this.#pending.shift();
      this.#forget(1);
    }
  }

  #forget(count: number): void {
    this.#queued -= count;
    this.#dropped += count;
  }

  // Once: the log of the app is not ours to fill.
  #warn(message: string): void {
    if (this.#warned) return;
    this.#warned = true;
    process.stderr.write(`tsdev: ${message}\n`);
  }

  #post(body: Uint8Array): Promise<Outcome> {
    return new Promise((done) => {
      const away = () => done({ kind: "away", retryAfterMs: 0 });
      try {
        const send = this.#target.protocol === "https:" ? httpsRequest : httpRequest;
        const request = send(
          this.#target,
          {
            method: "POST",
            agent: this.#agent,
            timeout: requestTimeoutMs,
            headers: { ...this.#headers, "content-length": body.byteLength },
          },
          (answer) => {
            answer.resume();
            answer.on("error", away);
            answer.on("close", away);
            answer.on("end", () => done(outcomeOf(answer)));
          },
        );
        this.#request = request;
        request.on("socket", (socket) => socket.unref());
        request.on("timeout", () => request.destroy());
        request.on("error", away);
        request.on("close", away);
        request.end(body);
      } catch {
        away();
      }
    });
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(?:\.\d+){3}$/.test(host);
}

function isWritten(request: http.ClientRequest | undefined): boolean {
  const socket = request?.socket;
  return request?.writableEnded === true && !!socket && !socket.connecting && socket.writableLength === 0;
}

function outcomeOf(answer: http.IncomingMessage): Outcome {
  const status = answer.statusCode ?? 0;
  if (status >= 200 && status < 300) return { kind: "taken" };
  if (!retryableStatus.has(status)) return { kind: "refused", status };
  const seconds = Number(answer.headers["retry-after"]);
  return { kind: "away", retryAfterMs: Number.isFinite(seconds) ? Math.min(seconds, 60) * 1000 : 0 };
}

// Timers and sockets must not keep the context of the request in which they happened to be made.
function outside<R>(work: () => R): R {
  return context.with(suppressTracing(ROOT_CONTEXT), work);
}
