// Engine: executes workflows. In memory, or durable on a Postgres where a finished step is a row.

import type { ErrorShape } from "../errors.ts";
import type { Log } from "../log.ts";
import type { AnyWorkflow, WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";

export type RunState = "running" | "done" | "failed";

/** How a run stands. */
export interface RunStatus {
  runId: string;
  workflow: string;
  /** The digest of the IR that the run began with. */
  version: string;
  state: RunState;
  startedAt: Date;
  finishedAt: Date | null;
  /** The ids of the nodes that have finished. */
  finishedSteps: string[];
  /** The scope at the end; only when done. */
  output?: unknown;
  /** Only when failed. */
  error?: ErrorShape;
}

export interface ExecuteOptions {
  /** The same id twice is the same run. Default: a new one. */
  runId?: string;
  /** Stops waiting and aborts the steps in flight; the run fails with `canceled`. */
  signal?: AbortSignal;
}

export interface Engine {
  readonly durable: boolean;
  /** Runs to the end. Throws `step_failed` naming workflow, step, attempts and cause; `invalid_input`; `conflict`. */
  execute<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options?: ExecuteOptions,
  ): Promise<WorkflowOutput<W>>;
  /** Returns as soon as the run is begun, durably where the engine is. */
  start<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options?: { runId?: string },
  ): Promise<{ runId: string }>;
  run(runId: string): Promise<RunStatus | undefined>;
  /** Carries on runs of these workflows whose worker died, now and from now on. Returns how many it took at once. */
  resume(workflows: readonly AnyWorkflow[]): Promise<number>;
  /** Throws `unavailable` when the database does not answer. */
  check(): Promise<void>;
  /** Lets steps in flight finish, gives unfinished runs to others, and closes the pool. */
  close(): Promise<void>;
}

export interface EngineOptions {
  /** Postgres; the engine keeps its tables in the schema `tsdev` and makes them itself. Without it: in memory. */
  databaseUrl?: string;
  /** How long a silent worker keeps its runs, milliseconds. Default 10,000. */
  leaseMs?: number;
  /** How long `close` waits for steps in flight, milliseconds. Default 10,000. */
  closeMs?: number;
  /** Connections of the pool. Default 4. */
  connections?: number;
  log?: Log;
}
