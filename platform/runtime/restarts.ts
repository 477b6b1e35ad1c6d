// Starts instances of live groups again when they end by themselves, with a growing pause for those that keep dying.
import type { GroupRecord, GroupRecords } from "./group-records.ts";
import type { LocalInstances } from "./local-instances.ts";

/** An instance that lived longer starts the back-off anew. */
const stableMs = 30_000;
const longestPauseMs = 30_000;

export interface RestartsOptions {
  groups: GroupRecords;
  instances: LocalInstances;
  /** Tells the router which instances there are. */
  publish: () => Promise<void>;
  /** Work that nobody waits for. */
  background: (work: Promise<unknown>) => void;
  log: (message: string) => void;
}

export class Restarts {
  readonly #options: RestartsOptions;
  /** Groups whose number of instances an operation is changing. */
  readonly #suspended = new Set<string>();
  readonly #running = new Map<string, { abort: AbortController; done: Promise<unknown> }>();
  readonly #backoff = new Map<string, { deaths: number; notBefore: number }>();
  /** Instances whose death has been counted. */
  readonly #mourned = new Set<string>();

  constructor(options: RestartsOptions) {
    this.#options = options;
    for (const instance of options.instances.all()) if (!instance.isRunning()) this.#mourned.add(instance.id);
  }

  /** Looks at every live group: who died, and who is missing. */
  async tend(): Promise<void> {
    const { groups, instances } = this.#options;
    let changed = false;
    for (const record of groups.all("live")) {
      const { deploymentId, replicas } = record.group;
      for (const instance of instances.of(deploymentId)) {
        instance.learnApp();
        // One that was never healthy is reported by whoever starts it; one that drains is meant to end.
        if (this.#mourned.has(instance.id) || instance.record.draining || !instance.record.healthy) continue;
        if (instance.isRunning()) continue;
        this.#mourned.add(instance.id);
        changed = true;
        const lived = Date.now() - Date.parse(instance.record.startedAt);
        this.#pause(deploymentId, lived > stableMs ? 1 : this.#deaths(deploymentId) + 1);
        const code = instance.exitCode() ?? "unknown";
        this.#options.log(`instance ${instance.id} of ${deploymentId} ended with code ${code}`);
        // Children of an app that died may still hold its port.
        this.#options.background(instance.end(0));
      }
      if (this.#suspended.has(deploymentId) || this.#running.has(deploymentId)) continue;
      const missing = replicas - instances.serving(deploymentId).length;
      const notBefore = this.#backoff.get(deploymentId)?.notBefore ?? 0;
      if (missing > 0 && performance.now() >= notBefore) this.#start(record, missing);
    }
    if (changed) await this.#options.publish();
  }

  /** Ends restarts of the group and lets none begin until the returned function is called. */
  async suspend(deploymentId: string): Promise<() => void> {
    this.#suspended.add(deploymentId);
    await this.end(deploymentId);
    return () => this.#suspended.delete(deploymentId);
  }

  /** Gives up restarts that are under way; resolves when nothing of them is left. */
  async end(deploymentId: string): Promise<void> {
    const running = this.#running.get(deploymentId);
    running?.abort.abort();
    await running?.done.catch(() => {});
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((deploymentId) => this.end(deploymentId)));
  }

  forget(deploymentId: string): void {
    this.#backoff.delete(deploymentId);
  }

  #deaths(deploymentId: string): number {
    return this.#backoff.get(deploymentId)?.deaths ?? 0;
  }

  /** The first death costs no pause, the next ones 250 ms, 500 ms and so on. */
  #pause(deploymentId: string, deaths: number): void {
    const pause = deaths <= 1 ? 0 : Math.min(250 * 2 ** (deaths - 2), longestPauseMs);
    this.#backoff.set(deploymentId, { deaths, notBefore: performance.now() + pause });
  }

  #start(record: GroupRecord, missing: number): void {
    const { instances, publish, log } = this.#options;
    const { deploymentId } = record.group;
    const abort = new AbortController();
    const restarts = 1 + Math.max(-1, ...instances.of(deploymentId).map((instance) => instance.record.restarts));
    const one = async () => {
      const result = await instances.launch(record.group, restarts, abort.signal);
      if (abort.signal.aborted) return;
      if (result.ok) return publish();
      this.#pause(deploymentId, this.#deaths(deploymentId) + 1);
      log(`restart of ${deploymentId}: ${result.error.message}`);
    };
    const done = Promise.all(Array.from({ length: missing }, one)).finally(() => {
      this.#running.delete(deploymentId);
      instances.prune();
    });
    this.#running.set(deploymentId, { abort, done });
    this.#options.background(done);
  }
}
