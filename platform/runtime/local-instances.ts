// The instances of this machine: started on ports of their own, found again after a restart, ended for certain, cleaned up.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { awaitHealthy, type HealthLimits } from "./await-healthy.ts";
import { findInstances, type Instance, type OutputStream, outputFile, spawnInstance } from "./instance.ts";
import { OutputFile } from "./output-file.ts";
import { pickPort } from "./ports.ts";
import type { InstanceGroup, StartFailure } from "./runtime.ts";
import { Serial } from "./serial.ts";

export interface InstanceOptions extends HealthLimits {
  nodePath: string;
  log: (message: string) => void;
}

export type Launch = { ok: true; instance: Instance } | ({ ok: false } & StartFailure);

/** A start is tried on this many ports when others take them. */
const portTries = 5;
/** Ended instances whose output nobody has read are kept up to this number. */
const keptEnded = 50;

export const canceled: { ok: false } & StartFailure = {
  ok: false,
  error: { code: "canceled", message: "the start was canceled", fix: "start it again when it is wanted" },
  lastLines: [],
};

export class LocalInstances {
  readonly #folder: string;
  readonly #options: InstanceOptions;
  readonly #instances = new Map<string, Instance>();
  readonly #files = new Map<string, OutputFile>();
  readonly #picks = new Serial();

  constructor(folder: string, options: InstanceOptions) {
    this.#folder = folder;
    this.#options = options;
    for (const instance of findInstances(folder)) {
      instance.learnApp();
      this.#instances.set(instance.id, instance);
    }
  }

  all(): Instance[] {
    return [...this.#instances.values()];
  }

  of(deploymentId: string): Instance[] {
    return this.all().filter((instance) => instance.record.deploymentId === deploymentId);
  }

  /** Those that run and are not on their way out. */
  serving(deploymentId: string): Instance[] {
    return this.of(deploymentId).filter((instance) => !instance.record.draining && instance.isRunning());
  }

  /** Starts one instance and waits until it is healthy; on failure or abort nothing of it is left running. */
  async launch(group: InstanceGroup, restarts: number, signal: AbortSignal): Promise<Launch> {
    for (let tries = 1; ; tries++) {
      if (signal.aborted) return canceled;
      // One pick at a time, and the record that reserves the port is written before the next.
      const instance = await this.#picks.run("port", async () => {
        const reserved = new Set(this.all().flatMap((other) => (other.isRunning() ? other.record.port : [])));
        const port = await pickPort(reserved);
        const spawned = spawnInstance(this.#folder, group, port, { ...this.#options, restarts });
        this.#instances.set(spawned.id, spawned);
        return spawned;
      });
      const result = await this.awaitHealthy(instance, group, signal);
      if (result !== "port_lost") return result;
      if (tries === portTries) {
        const message = `each of ${portTries} ports that were free was taken before the app could listen on it`;
        return { ok: false, error: { code: "port_taken", message, fix: "try again" }, lastLines: [] };
      }
    }
  }

  /** Waits for an instance that runs already; ends it when it fails. */
  async awaitHealthy(instance: Instance, group: InstanceGroup, signal: AbortSignal): Promise<Launch | "port_lost"> {
    let health: Awaited<ReturnType<typeof awaitHealthy>>;
    try {
      const { healthTimeoutMs = this.#options.healthTimeoutMs } = group;
      health = await awaitHealthy(instance, group.health, { ...this.#options, healthTimeoutMs }, signal);
    } catch (error) {
      await this.end(instance, 1000);
      throw error;
    }
    if (health.kind === "healthy") return { ok: true, instance };
    await this.end(instance, 1000);
    if (health.kind === "aborted") return canceled;
    if (health.kind === "port_lost") return "port_lost";
    return { ok: false, error: health.error, lastLines: health.lastLines };
  }

  async end(instance: Instance, graceMs: number): Promise<void> {
    if (!instance.record.draining) instance.save({ draining: true });
    await instance.end(graceMs);
  }

  fileOf(instance: Instance, stream: OutputStream): OutputFile {
    const path = join(instance.folder, outputFile[stream]);
    let file = this.#files.get(path);
    if (!file) {
      file = new OutputFile(path);
      this.#files.set(path, file);
    }
    return file;
  }

  /** Rotates the outputs that have grown beyond `limit` bytes. */
  async rotate(limit: number): Promise<void> {
    for (const instance of this.all()) {
      for (const stream of ["stdout", "stderr"] as const) {
        await this.fileOf(instance, stream)
          .rotate(limit)
          .catch((error: NodeJS.ErrnoException) => {
            if (error.code !== "ENOENT") this.#options.log(`rotation of ${instance.id}: ${error.message}`);
          });
      }
    }
  }

  /** Removes what an ended instance left on disk. */
  forget(instance: Instance): void {
    this.#instances.delete(instance.id);
    for (const stream of ["stdout", "stderr"] as const) this.#files.delete(join(instance.folder, outputFile[stream]));
    rmSync(instance.folder, { recursive: true, force: true });
  }

  /** Keeps the number of ended instances bounded, also when nobody reads their output. */
  prune(): void {
    const ended = this.all().filter((instance) => !instance.isRunning());
    ended.sort((a, b) => b.record.startedAt.localeCompare(a.record.startedAt));
    for (const instance of ended.slice(keptEnded)) this.forget(instance);
  }
}
