// Run store: the port behind the engine. Invariants that every adapter keeps (`run-store.contract.ts` tests them):
// 1. A finished step is written once and read back as it was written.
// 2. Only the holder of a run's newest epoch writes to it; anyone else gets LeaseLost.
// 3. A run is claimed only when its lease has expired, and by one claimer.
import type { ErrorShape } from "../errors.ts";
import type { WorkflowIr } from "../ir/ir.ts";
import type { RunState } from "./engine.ts";

/** What is known when a run begins. */
export interface NewRun {
  id: string;
  workflow: string;
  version: string;
  /** The run keeps it, whatever later deploys change. */
  ir: WorkflowIr;
  /** As the caller gave it. */
  input: unknown;
  /** The input after its contract: the scope at the start. */
  scope: Readonly<Record<string, unknown>>;
  inputDigest: string;
  /** W3C trace parent of the run's span, so that whoever carries it on stays in the trace. */
  traceparent: string | null;
}

export interface StoredRun extends NewRun {
  state: RunState;
  /** Grows by one with every takeover. */
  epoch: number;
  startedAt: Date;
  finishedAt: Date | null;
  output?: unknown;
  error?: ErrorShape;
}

export interface FinishedStep {
  runId: string;
  epoch: number;
  node: string;
  output: unknown;
}

export type FinishedRun = { runId: string; epoch: number } & (
  | { state: "done"; output: unknown }
  | { state: "failed"; error: ErrorShape }
);

export interface Lease {
  runId: string;
  epoch: number;
}

export interface RunStore {
  readonly durable: boolean;
  /** Begins the run and takes its lease; `begun` is false when the id is there already and is not ours. */
  begin(run: NewRun): Promise<{ run: StoredRun; begun: boolean }>;
  find(runId: string): Promise<StoredRun | undefined>;
  /** Output by node id. */
  steps(runId: string): Promise<Map<string, unknown>>;
  finishStep(step: FinishedStep): Promise<void>;
  finishRun(run: FinishedRun): Promise<void>;
  /** Unfinished runs whose lease has expired, without those in `except`. */
  expired(workflows: readonly string[], except: readonly string[], limit: number): Promise<StoredRun[]>;
  /** Takes over one such run, or undefined when another was quicker. */
  claim(runId: string): Promise<StoredRun | undefined>;
  /** Prolongs leases; returns the ids that are still held. */
  renew(leases: readonly Lease[]): Promise<Set<string>>;
  /** Lets others claim these at once. */
  release(leases: readonly Lease[]): Promise<void>;
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Another worker has taken the run over: this one stops without a word. */
export class LeaseLost extends Error {
  constructor(runId: string) {
    super(`the lease of run ${runId} was taken over`);
    this.name = "LeaseLost";
  }
}
