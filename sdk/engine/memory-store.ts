// Memory store: runs that live as long as the process, for scripts and unit tests.
import {
  type FinishedRun,
  type FinishedStep,
  type Lease,
  LeaseLost,
  type NewRun,
  type RunStore,
  type StoredRun,
} from "./run-store.ts";

interface Entry {
  run: StoredRun;
  steps: Map<string, unknown>;
  leaseUntil: number;
}

/** Finished runs that are kept for `engine.run(id)`; the oldest are forgotten first. */
const keptFinished = 1_000;

export class MemoryStore implements RunStore {
  readonly durable = false;
  readonly #leaseMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #finished: string[] = [];

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  async begin(run: NewRun): Promise<{ run: StoredRun; begun: boolean }> {
    const known = this.#entries.get(run.id);
    if (known) return { run: known.run, begun: false };
    const entry: Entry = {
      run: { ...run, state: "running", epoch: 1, startedAt: new Date(), finishedAt: null },
      steps: new Map(),
      leaseUntil: Date.now() + this.#leaseMs,
    };
    this.#entries.set(run.id, entry);
    return { run: entry.run, begun: true };
  }

  async find(runId: string): Promise<StoredRun | undefined> {
    return this.#entries.get(runId)?.run;
  }

  async steps(runId: string): Promise<Map<string, unknown>> {
    return new Map(this.#entries.get(runId)?.steps);
  }

  async finishStep(step: FinishedStep): Promise<void> {
    const entry = this.#held(step);
    if (!entry.steps.has(step.node)) entry.steps.set(step.node, step.output);
  }

  async finishRun(run: FinishedRun): Promise<void> {
    const entry = this.#held(run);
    const end = run.state === "done" ? { output: run.output } : { error: run.error };
    entry.run = { ...entry.run, ...end, state: run.state, finishedAt: new Date() };
    this.#finished.push(run.runId);
    while (this.#finished.length > keptFinished) this.#entries.delete(this.#finished.shift()!);
  }

  async expired(workflows: readonly string[], except: readonly string[], limit: number): Promise<StoredRun[]> {
    const due: StoredRun[] = [];
    for (const { run, leaseUntil } of this.#entries.values()) {
      if (due.length >= limit) break;
      if (run.state === "running" && leaseUntil < Date.now() && workflows.includes(run.workflow)) due.push(run);
    }
    return due.filter((run) => !except.includes(run.id));
  }

  async claim(runId: string): Promise<StoredRun | undefined> {
    const entry = this.#entries.get(runId);
    if (entry?.run.state !== "running" || entry.leaseUntil >= Date.now()) return undefined;
    entry.run = { ...entry.run, epoch: entry.run.epoch + 1 };
    entry.leaseUntil = Date.now() + this.#leaseMs;
    return entry.run;
  }

  async renew(leases: readonly Lease[]): Promise<Set<string>> {
    const held = leases.filter(({ runId, epoch }) => this.#entries.get(runId)?.run.epoch === epoch);
    for (const { runId } of held) this.#entries.get(runId)!.leaseUntil = Date.now() + this.#leaseMs;
    return new Set(held.map(({ runId }) => runId));
  }

  async release(leases: readonly Lease[]): Promise<void> {
    for (const { runId, epoch } of leases) {
      const entry = this.#entries.get(runId);
      if (entry?.run.epoch === epoch) entry.leaseUntil = 0;
    }
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.#entries.clear();
  }

  #held({ runId, epoch }: Lease): Entry {
    const entry = this.#entries.get(runId);
    if (entry?.run.state !== "running" || entry.run.epoch !== epoch) throw new LeaseLost(runId);
    return entry;
  }
}
