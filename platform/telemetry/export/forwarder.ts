// Forwarder: a copy of what was taken in, as it came, to the OTLP endpoints that an environment names; never waited for.
import { DelegateBackoff, handleType, type RetryPolicy, retry } from "cockatiel";
import type { Encoding, Signal } from "../ingest/ingest.ts";
import type { Tenant } from "../ingest/tables.ts";
import type { ForwardTarget } from "../telemetry-settings.ts";
import { forwardOnce, ReceiverAway } from "./forward-request.ts";
import { filledHeaders, namesSecrets } from "./header-secrets.ts";

/** Bytes that wait for one endpoint of one environment, and for all together; past it what comes is not copied. */
const mostBytes = 16 * 2 ** 20;
const mostBytesInAll = 64 * 2 ** 20;
/** Some five minutes with the pauses below. */
const mostTries = 15;
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** Requests under way to one endpoint. */
const mostAtOnce = 4;

export interface ForwarderParts {
  targetsOf(tenant: Tenant): Promise<readonly ForwardTarget[]>;
  /** Values of the environment's variables, by name; asked only where a header names one. */
  variablesOf(tenant: Tenant): Promise<ReadonlyMap<string, string>>;
  /** Told at the first drop of an endpoint, and at the first after it took something again. */
  log(message: string): void;
  /** Lets copies go to link-local and metadata addresses. */
  allowLinkLocal?: boolean;
  /** For tests: times are divided by it. */
  pauseDivisor?: number;
}

/** Requests of one endpoint since the process began. */
export interface ForwardStatus {
  endpoint: string;
  sent: number;
  dropped: number;
  waiting: number;
  waitingBytes: number;
  /** Why the last try failed; empty after one that did not. */
  lastError: string;
}

interface Parcel {
  tenant: Tenant;
  target: ForwardTarget;
  signal: Signal;
  encoding: Encoding;
  body: Buffer;
}

interface Lane extends ForwardStatus {
  parcels: Parcel[];
  running: number;
  told: boolean;
}

/** Invariant: a parcel is in one lane's list, or under way there, and its bytes are counted until it is sent or dropped. */
export class Forwarder {
  readonly #parts: ForwarderParts;
  readonly #lanes = new Map<string, Lane>();
  readonly #stop = new AbortController();
  readonly #retry: RetryPolicy;
  #bytes = 0;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
    const divisor = parts.pauseDivisor ?? 1;
    this.#retry = retry(handleType(ReceiverAway), {
      maxAttempts: mostTries,
      backoff: new DelegateBackoff((context: { attempt: number; result: object }) => {
        const grown = Math.min(longestPauseMs, firstPauseMs * 2 ** (context.attempt - 1));
        const error = "error" in context.result ? context.result.error : undefined;
        // What the receiver asks for goes before our own pause.
        return Math.max(error instanceof ReceiverAway ? error.retryAfterMs : 0, pauseOf(grown) / divisor);
      }),
    });
  }

  /** Returns at once; the body is copied where an endpoint wants it. */
  take(signal: Signal, body: Buffer, encoding: Encoding, tenant: Tenant): void {
    if (this.#stop.signal.aborted) return;
    let kept: Buffer | undefined;
    void this.#parts
      .targetsOf(tenant)
      .then((targets) => {
        for (const target of targets) {
          if (!target.signals.includes(signal)) continue;
          kept ??= Buffer.from(body);
          this.#enqueue({ tenant, target, signal, encoding, body: kept });
        }
      })
      .catch((error: unknown) => this.#parts.log(`what is copied is not known: ${String(error)}`));
  }

  /** Of every endpoint of an environment that something was for. */
  status({ organizationId, project, environment }: Tenant): ForwardStatus[] {
    const prefix = laneKey({ organizationId, project, environment }, "");
    return [...this.#lanes].flatMap(([key, lane]) => (key.startsWith(prefix) ? [statusOf(lane)] : []));
  }

  /** Sums over all environments. */
  total(): Omit<ForwardStatus, "endpoint" | "lastError"> {
    const total = { sent: 0, dropped: 0, waiting: 0, waitingBytes: 0 };
    for (const lane of this.#lanes.values()) {
      total.sent += lane.sent;
      total.dropped += lane.dropped;
      total.waiting += lane.waiting;
      total.waitingBytes += lane.waitingBytes;
    }
    return total;
  }

  /** Ends what is under way; what waits is dropped. */
  close(): void {
    this.#stop.abort();
  }

  #enqueue(parcel: Parcel): void {
    const key = laneKey(parcel.tenant, parcel.target.endpoint);
    let lane = this.#lanes.get(key);
    if (!lane) {
      const { endpoint } = parcel.target;
      lane = {
        ...{ endpoint, sent: 0, dropped: 0, waiting: 0, waitingBytes: 0, lastError: "" },
        ...{ parcels: [], running: 0, told: false },
      };
      this.#lanes.set(key, lane);
    }
    const bytes = parcel.body.byteLength;
    if (lane.waitingBytes + bytes > mostBytes || this.#bytes + bytes > mostBytesInAll) {
      this.#drop(lane, lane.lastError === "" ? "more waits than is kept" : lane.lastError);
      return;
    }
    lane.waiting += 1;
    lane.waitingBytes += bytes;
    this.#bytes += bytes;
    lane.parcels.push(parcel);
    this.#pump(lane);
  }

  #pump(lane: Lane): void {
    while (lane.running < mostAtOnce && lane.parcels.length > 0) {
      const parcel = lane.parcels.shift()!;
      lane.running += 1;
      void this.#send(lane, parcel).finally(() => {
        lane.running -= 1;
        lane.waiting -= 1;
        lane.waitingBytes -= parcel.body.byteLength;
        this.#bytes -= parcel.body.byteLength;
        this.#pump(lane);
      });
    }
  }

  async #send(lane: Lane, { tenant, target, signal, encoding, body }: Parcel): Promise<void> {
    const url = `${target.endpoint.replace(/\/+$/, "")}/v1/${signal}`;
    const contentType = encoding === "json" ? "application/json" : "application/x-protobuf";
    try {
      await this.#retry.execute(async () => {
        try {
          const values = namesSecrets(target.headers)
            ? await this.#parts.variablesOf(tenant)
            : new Map<string, string>();
          await forwardOnce({
            url,
            body,
            headers: { ...filledHeaders(target.headers, values), "content-type": contentType },
            allowLinkLocal: this.#parts.allowLinkLocal ?? false,
            signal: this.#stop.signal,
          });
        } catch (error) {
          lane.lastError = messageOf(error);
          throw error;
        }
      }, this.#stop.signal);
      lane.sent += 1;
      lane.lastError = "";
      lane.told = false;
    } catch (error) {
      this.#drop(lane, messageOf(error));
    }
  }

  #drop(lane: Lane, why: string): void {
    lane.dropped += 1;
    lane.lastError = why;
    if (lane.told || this.#stop.signal.aborted) return;
    lane.told = true;
    this.#parts.log(`a copy of telemetry to ${lane.endpoint} was dropped: ${why}`);
  }
}

/** Spread, so that not all come back at one moment. */
function pauseOf(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}

function laneKey({ organizationId, project, environment }: Tenant, endpoint: string): string {
  return `${JSON.stringify([organizationId, project, environment])}${endpoint}`;
}

function statusOf({ endpoint, sent, dropped, waiting, waitingBytes, lastError }: Lane): ForwardStatus {
  return { endpoint, sent, dropped, waiting, waitingBytes, lastError };
}

// Node names the value of a header that cannot be sent.
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "it could not be sent";
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return code.startsWith("ERR_INVALID_CHAR") ? "a header's value cannot be sent" : error.message;
}
