// InstanceMetrics: what each instance uses, as OTLP metrics of its tenant, through the ordinary ingest.
import { LeanMeterProvider } from "../../../sdk/metrics/meter.ts";
import { metricsRequest } from "../../../sdk/metrics/otlp-metrics.ts";
import { readJson, writeDurably } from "../../runtime/durable-file.ts";
import type { Tenant } from "../ingest/tables.ts";
import { type ProcessUsage, processUsage } from "./process-usage.ts";

export interface MeasuredInstance {
  tenant: Tenant;
  deploymentId: string;
  service: string;
  instanceId: string;
  /** Every live process of it. */
  pids: readonly number[];
  /** Milliseconds since the epoch. */
  startedAt: number;
}

interface Usage {
  userSeconds: number;
  systemSeconds: number;
  readBytes: number;
  writtenBytes: number;
}

const scopeName = "tsdev.runtime";
const nothing: Usage = { userSeconds: 0, systemSeconds: 0, readBytes: 0, writtenBytes: 0 };

/** What was seen of an instance: its live processes by pid, and the sums of those that have ended. */
interface Seen {
  last: [pid: number, usage: ProcessUsage][];
  ended: Usage;
}

/**
 * Keeps what ended processes of an instance have used, so that its sums never go back. With a file that is also so after
 * a restart of the control plane, which instances outlive.
 */
export class InstanceMetrics {
  readonly #file: string | undefined;
  readonly #last = new Map<string, Map<number, ProcessUsage>>();
  readonly #ended = new Map<string, Usage>();
  /** What the file has, so that an idle machine is not written to. */
  #written = "";

  constructor(file?: string) {
    this.#file = file;
    const seen = file === undefined ? undefined : readJson<Record<string, Seen>>(file);
    for (const [instanceId, { last, ended }] of Object.entries(seen ?? {})) {
      this.#last.set(instanceId, new Map(last));
      this.#ended.set(instanceId, ended);
    }
  }

  /** The request of each instance that runs; instances that are not named any more are forgotten. */
  requests(instances: readonly MeasuredInstance[], nowMs = Date.now()): { tenant: Tenant; body: Buffer }[] {
    const named = new Set(instances.map(({ instanceId }) => instanceId));
    for (const id of this.#last.keys()) {
      if (named.has(id)) continue;
      this.#last.delete(id);
      this.#ended.delete(id);
    }
    const requests = instances.flatMap((instance) => this.#request(instance, nowMs) ?? []);
    // Before anybody is told: what was told is never taken back.
    this.#write();
    return requests;
  }

  #write(): void {
    const text = JSON.stringify(this.#seen());
    if (this.#file === undefined || text === this.#written) return;
    writeDurably(this.#file, text);
    this.#written = text;
  }

  #seen(): Record<string, Seen> {
    return Object.fromEntries(
      [...this.#last].map(([instanceId, last]) => [
        instanceId,
        { last: [...last], ended: this.#ended.get(instanceId) ?? nothing },
      ]),
    );
  }

  #request(instance: MeasuredInstance, nowMs: number): { tenant: Tenant; body: Buffer } | undefined {
    const { instanceId, tenant } = instance;
    const now = new Map(
      instance.pids.flatMap((pid): [number, ProcessUsage][] => {
        const usage = processUsage(pid);
        return usage ? [[pid, usage]] : [];
      }),
    );
    if (now.size === 0) return undefined;
    const ended = { ...(this.#ended.get(instanceId) ?? nothing) };
    for (const [pid, before] of this.#last.get(instanceId) ?? []) {
      const after = now.get(pid);
      // A smaller sum is another process under the pid of one that ended.
      if (after === undefined || after.userSeconds < before.userSeconds) add(ended, before);
    }
    this.#ended.set(instanceId, ended);
    this.#last.set(instanceId, now);
    const total = { ...ended };
    for (const usage of now.values()) add(total, usage);
    const resource = {
      "service.name": instance.service,
      "service.instance.id": instanceId,
      "tsdev.project": tenant.project,
      "tsdev.environment": tenant.environment,
      "tsdev.deployment": instance.deploymentId,
    };
    const at = { startMs: instance.startedAt, nowMs };
    const body = metricsRequest(resource, measured(total, [...now.values()]), at);
    return body === undefined ? undefined : { tenant, body: Buffer.from(body) };
  }
}

function measured(total: Usage, live: ProcessUsage[]) {
  const provider = new LeanMeterProvider();
  const meter = provider.getMeter(scopeName);
  const sum = (of: (usage: ProcessUsage) => number | undefined) =>
    live.reduce((before, usage) => before + (of(usage) ?? 0), 0);
  const seconds = meter.createCounter("tsdev.instance.cpu.time", { unit: "s" });
  seconds.add(total.userSeconds, { "cpu.mode": "user" });
  seconds.add(total.systemSeconds, { "cpu.mode": "system" });
  meter.createUpDownCounter("tsdev.instance.memory.usage", { unit: "By" }).add(sum((usage) => usage.memoryBytes));
  const disk = meter.createCounter("tsdev.instance.disk.io", { unit: "By" });
  if (live.some(({ readBytes }) => readBytes !== undefined)) {
    disk.add(total.readBytes, { "disk.io.direction": "read" });
    disk.add(total.writtenBytes, { "disk.io.direction": "write" });
  }
  meter.createUpDownCounter("tsdev.instance.process.count", { unit: "{process}" }).add(live.length);
  meter.createUpDownCounter("tsdev.instance.thread.count", { unit: "{thread}" }).add(sum((usage) => usage.threads));
  if (live.some(({ openFiles }) => openFiles !== undefined)) {
    const files = meter.createUpDownCounter("tsdev.instance.file_descriptor.count", { unit: "{file_descriptor}" });
    files.add(sum((usage) => usage.openFiles));
  }
  return provider.collect();
}

function add(to: Usage, usage: ProcessUsage): void {
  to.userSeconds += usage.userSeconds;
  to.systemSeconds += usage.systemSeconds;
  to.readBytes += usage.readBytes ?? 0;
  to.writtenBytes += usage.writtenBytes ?? 0;
}
