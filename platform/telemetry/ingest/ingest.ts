// Ingest: takes a decoded request body of one signal and stores it for a tenant.
import { createHash } from "node:crypto";
import { z } from "zod";
import type { TelemetryStore } from "../clickhouse.ts";
import { Recording } from "../recording.ts";
import { TraceParts } from "../sampling/trace-parts.ts";
import { defaultTelemetrySettings, type TelemetrySettings } from "../telemetry-settings.ts";
import { list } from "./any-value.ts";
import { readJson } from "./json-fields.ts";
import { encodeLogs, readJsonLogs, readProtobufLogs, withinBounds } from "./log-rows.ts";
import { encodeJsonMetrics } from "./metrics-json.ts";
import { encodeProtobufMetrics } from "./metrics-protobuf.ts";
import { encodeRecordings } from "./recording-rows.ts";
import { knownMs } from "./request-journal.ts";
import { TooManyRowBytes } from "./row-binary.ts";
import { giveBack } from "./row-buffers.ts";
import { encodeJsonSpans } from "./spans-json.ts";
import { encodeProtobufSpans } from "./spans-protobuf.ts";
import { type IngestTable, liveBounds, type Tenant, type TimeBounds } from "./tables.ts";

export type Encoding = "protobuf" | "json";
export type Signal = keyof TelemetrySettings["retentionDays"];
/** Which times of a signal are kept for a tenant, and how long. */
export type BoundsOf = (tenant: Tenant, signal: Signal) => TimeBounds | Promise<TimeBounds>;

/** The retention that each environment has set; one that has set nothing has the defaults. */
export function settingsBounds(
  settingsOf: (tenant: Tenant) => TelemetrySettings | Promise<TelemetrySettings> = () => defaultTelemetrySettings,
): BoundsOf {
  return async (tenant, signal) => liveBounds((await settingsOf(tenant)).retentionDays[signal]);
}

/** Which traces of a tenant are kept; without an answer all are. */
export type SamplingOf = (tenant: Tenant) => Promise<TelemetrySettings["sampling"] | undefined>;

/** The sampling that each environment has set, where it leaves anything out. */
export function settingsSampling(settingsOf: (tenant: Tenant) => Promise<TelemetrySettings>): SamplingOf {
  return async (tenant) => {
    const { sampling } = await settingsOf(tenant);
    return sampling.keepShare < 1 ? sampling : undefined;
  };
}

/** Is given every body of OTLP once it is stored; must return at once. */
export type CopyOf = (signal: Signal, body: Buffer, encoding: Encoding, tenant: Tenant) => void;

/** What was stored and what was refused of a request, and why. */
export interface IngestResult {
  accepted: number;
  rejected: number;
  reason: string;
}

/** A body that is not what it says; nothing of it was stored. */
export class MalformedBody extends Error {
  override name = "MalformedBody";
}

/** How many requests of this process are remembered with what was answered; the store knows more of them, without that. */
const answersLimit = 4_096;

/**
 * Stores telemetry. Every method resolves when queries see the rows, or where spans are sampled when they are safe on disk
 * until it is decided which are kept. A body that comes again from the same tenant, as
 * senders do when an answer got lost, is stored once.
 */
export class Ingest {
  readonly #store: TelemetryStore;
  readonly #bounds: BoundsOf;
  readonly #sampling: SamplingOf;
  readonly #copy: CopyOf;
  readonly #answers = new Map<string, { at: number; result: Promise<IngestResult> }>();
  /** What came in since the process began, repeats left out. */
  readonly counts = {
    traces: { accepted: 0, rejected: 0 },
    logs: { accepted: 0, rejected: 0 },
    metrics: { accepted: 0, rejected: 0 },
    recordings: { accepted: 0, rejected: 0 },
  };

  constructor(
    store: TelemetryStore,
    bounds: BoundsOf = settingsBounds(),
    sampling: SamplingOf = async () => undefined,
    copy: CopyOf = () => undefined,
  ) {
    this.#store = store;
    this.#bounds = bounds;
    this.#sampling = sampling;
    this.#copy = copy;
  }

  traces(body: Buffer, encoding: Encoding, tenant: Tenant): Promise<IngestResult> {
    return this.#once("traces", body, tenant, async (request) => {
      const bounds = await this.#bounds(tenant, "traces");
      const sampling = await this.#sampling(tenant);
      let seen = sampling && new TraceParts();
      // JSON is read twice where an integer is too large for it: what was seen before does not count.
      const observed = () => (seen &&= new TraceParts());
      const { rows, ...result } = decoding(() => {
        if (encoding === "protobuf") return encodeProtobufSpans(body, tenant, bounds, observed());
        return readJson(body, (sent) => encodeJsonSpans(sent, tenant, bounds, observed()));
      });
      if (sampling === undefined || seen === undefined) {
        await this.#insert("otel_traces", rows, result.accepted, request);
      } else {
        const { keepShare, slowQuantile, minPerMinute, waitSeconds } = sampling;
        const policy = { keepShare, slowQuantile, minPerMinute };
        const { parts, ends, partOf } = seen;
        const sampled = { digest: request, tenant, policy, parts, ends, partOf, rows };
        await this.#store.tail.add(sampled, waitSeconds * 1_000);
      }
      this.#copy("traces", body, encoding, tenant);
      return result;
    });
  }

  logs(body: Buffer, encoding: Encoding, tenant: Tenant): Promise<IngestResult> {
    return this.#once("logs", body, tenant, async (request) => {
      const read = decoding(() =>
        encoding === "protobuf" ? readProtobufLogs(body, tenant) : readJson(body, (sent) => readJsonLogs(sent, tenant)),
      );
      const bounds = await this.#bounds(tenant, "logs");
      const { kept, ...result } = withinBounds(read, bounds);
      await this.#insert("otel_logs", encodeLogs(kept, bounds.retentionDays), kept.length, request);
      this.#store.logFeed.publish(kept);
      this.#copy("logs", body, encoding, tenant);
      return result;
    });
  }

  metrics(body: Buffer, encoding: Encoding, tenant: Tenant): Promise<IngestResult> {
    return this.#once("metrics", body, tenant, async (request) => {
      const bounds = await this.#bounds(tenant, "metrics");
      const { tables, ...result } = decoding(() =>
        encoding === "protobuf"
          ? encodeProtobufMetrics(body, tenant, bounds)
          : readJson(body, (sent) => encodeJsonMetrics(sent, tenant, bounds)),
      );
      // Each table is known for itself: a process that dies between two of them has stored a part of the request.
      const missing = tables.filter(({ table }) => !this.#store.knows(`${request}.${table}`));
      await Promise.all(
        missing.map(({ table, rows, count }) => this.#insert(table, rows, count, `${request}.${table}`)),
      );
      this.#copy("metrics", body, encoding, tenant);
      return result;
    });
  }

  /** `{ recordings: Recording[], deployment? }` in JSON; an item that does not fit the contract is refused alone. */
  recordings(body: Buffer, tenant: Tenant): Promise<IngestResult> {
    return this.#once("recordings", body, tenant, async (request) => {
      const sent = decoding(() => readJson(body, (request) => request));
      const items = list(sent.recordings).map((item) => Recording.safeParse(item));
      const kept = items.flatMap((item) => (item.success ? [item.data] : []));
      const index = items.findIndex((item) => !item.success);
      const deployment = typeof sent.deployment === "string" ? sent.deployment : "";
      const { rows, accepted, tooOld } = encodeRecordings(
        kept,
        tenant,
        deployment,
        await this.#bounds(tenant, "traces"),
      );
      await this.#store.insert("recordings", rows, accepted, request);
      const reason =
        index >= 0
          ? `recordings.${index}: ${z.prettifyError(items[index]!.error!)}`
          : tooOld > 0
            ? "a recording is older than what is kept, or ahead of the clock by more than a day"
            : "";
      return { accepted, rejected: items.length - accepted, reason };
    });
  }

  async #insert(table: IngestTable, rows: Buffer, count: number, request: string): Promise<void> {
    await this.#store.insert(table, rows, count, request);
    // Stored, or in a file of the spool. Rows that failed are left to the garbage collector.
    giveBack(rows);
  }

  #once(
    signal: keyof Ingest["counts"],
    body: Buffer,
    tenant: Tenant,
    work: (request: string) => Promise<IngestResult>,
  ): Promise<IngestResult> {
    const request = createHash("sha256")
      .update(JSON.stringify([signal, tenant.organizationId, tenant.project, tenant.environment]))
      .update(body)
      .digest("base64");
    const before = this.#answers.get(request);
    if (before !== undefined && Date.now() - before.at < knownMs) return before.result;
    // Stored by a process before this one, which may not have come to answer.
    if (this.#store.knows(request)) return Promise.resolve({ accepted: 0, rejected: 0, reason: "" });
    const result = work(request);
    this.#answers.set(request, { at: Date.now(), result });
    result.then(
      ({ accepted, rejected }) => {
        this.counts[signal].accepted += accepted;
        this.counts[signal].rejected += rejected;
      },
      () => this.#answers.delete(request),
    );
    // A map keeps the order of insertion: the oldest come first.
    for (const [old] of this.#answers) {
      if (this.#answers.size <= answersLimit) break;
      this.#answers.delete(old);
    }
    return result;
  }
}

/** Whatever a decoder throws is the sender's fault. */
function decoding<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TooManyRowBytes) throw cause;
    throw new MalformedBody(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
