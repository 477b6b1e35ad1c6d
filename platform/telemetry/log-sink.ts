// LogSink: the output of processes as log records, batched and stored.
import { setTimeout as delay } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import type { TelemetryStore } from "./clickhouse.ts";
import { encodeLogs, type LogRow, noScope } from "./ingest/log-rows.ts";
import type { Tenant } from "./ingest/tables.ts";
import { guessSeverity, severityNumber } from "./severity.ts";
import { defaultTelemetrySettings } from "./telemetry-settings.ts";

/** A line that a process printed; a runtime's `OutputLine` with its organization is one. */
export interface ProcessLine {
  organizationId: string;
  project: string;
  environment: string;
  deploymentId: string;
  instanceId: string;
  service: string;
  stream: "stdout" | "stderr";
  /** Milliseconds since the epoch. */
  time: number;
  text: string;
}

/** How long lines are collected for one insert, in milliseconds. */
const batchMs = 50;
/** How many lines may wait while the store is away; those after are left out, and a record says how many. */
const waitingLimit = 50_000;
/** Longest text of a record, in characters. */
const textLimit = 64 * 1024;

export class LogSink {
  readonly #store: TelemetryStore;
  readonly #retentionDays: (tenant: Tenant) => Promise<number>;
  #waiting: LogRow[] = [];
  #flushing: Promise<void> | undefined;
  #closed = false;
  #leftOut = 0;
  #count = 0;

  /** `retentionDays` says for how many days an environment keeps its logs. */
  constructor(
    store: TelemetryStore,
    retentionDays: (tenant: Tenant) => Promise<number> = async () => defaultTelemetrySettings.retentionDays.logs,
  ) {
    this.#store = store;
    this.#retentionDays = retentionDays;
  }

  /** Takes lines; followers get them at once. Resolves when they are stored. */
  write(lines: readonly ProcessLine[]): Promise<void> {
    const rows = lines.map((line) => this.#row(line));
    this.#store.logFeed.publish(rows);
    const room = waitingLimit - this.#waiting.length;
    this.#waiting.push(...rows.slice(0, Math.max(0, room)));
    this.#leftOut += Math.max(0, rows.length - room);
    this.#flushing ??= this.#flush();
    return this.#flushing;
  }

  /** Stores what waits; gives up on a store that is away. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    if (!this.#closed) await delay(batchMs);
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, 5_000);
      const last = batch.at(-1)!;
      if (this.#leftOut > 0 && this.#waiting.length === 0) {
        batch.push({ ...last, body: `(${this.#leftOut} lines were left out)`, severityNumber: severityNumber("warn") });
        this.#leftOut = 0;
      }
      while (!(await this.#stored(batch)) && !this.#closed) await delay(500);
    }
    this.#flushing = undefined;
  }

  async #stored(batch: LogRow[]): Promise<boolean> {
    const tenants = [...new Set(batch.map(({ tenant }) => tenant))];
    const days = new Map(
      await Promise.all(tenants.map(async (tenant) => [tenant, await this.#retentionDays(tenant)] as const)),
    );
    const rows = encodeLogs(batch, (tenant) => days.get(tenant)!);
    return this.#store.insert("otel_logs", rows, batch.length).then(
      () => true,
      () => false,
    );
  }

  #row(line: ProcessLine): LogRow {
    const text = line.text.length > textLimit ? `${line.text.slice(0, textLimit)}… (cut)` : line.text;
    const severity = guessSeverity(stripVTControlCharacters(text), line.stream);
    // Lines of one millisecond keep their order by the nanoseconds.
    const time = BigInt(Math.trunc(line.time)) * 1_000_000n + BigInt(this.#count++ % 1_000_000);
    return {
      time,
      traceId: /^\{.*"trace_?[iI]d":"([0-9a-f]{32})"/.exec(text)?.[1] ?? "",
      spanId: "",
      flags: 0,
      severityText: severity,
      severityNumber: severityNumber(severity),
      service: line.service,
      body: text,
      resource: [
        ["service.name", line.service],
        ["service.instance.id", line.instanceId],
      ],
      resourceSchemaUrl: "",
      scope: noScope,
      attributes: [["log.iostream", line.stream]],
      eventName: "",
      tenant: { organizationId: line.organizationId, project: line.project, environment: line.environment },
      deployment: line.deploymentId,
    };
  }
}
