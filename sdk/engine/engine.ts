// Engine: executes workflows. In memory, or durable on a Postgres where a finished step is a row.

import type { z } from "zod";
import type { ErrorShape } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Principal } from "../procedures/procedure.ts";
import type { Registry } from "../registry.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";
import type { RunEvent } from "./run-event.ts";

/**
 * queued: begun, and waiting for a place. running: a worker has its lease. waiting: no worker has it; a timer, an event,
 * an answer or a child run wakes it. paused: nothing wakes it but `resume`. The other three are ends.
 */
export type RunState = "queued" | "running" | "waiting" | "paused" | "done" | "failed" | "canceled";
export const endStates: ReadonlySet<RunState> = new Set(["done", "failed", "canceled"]);

/** What led to a run. */
export interface RunOrigin {
  readonly kind: "direct" | "http" | "webhook" | "cron" | "queue" | "event" | "call" | "rerun";
  /** The trigger's name; of `call` the node's path, of `rerun` absent. */
  readonly name?: string;
  /** The delivery, the message, the event, the scheduled time, or the run (`call`, `rerun`) that it came from. */
  readonly id?: string;
}

/** What a waiting run waits for. `node` is a path such as `texts[3]/ask`. */
export type Wait =
  | { readonly kind: "timer"; readonly node: string; readonly wakeAt: Date }
  | {
      readonly kind: "event";
      readonly node: string;
      readonly event: string;
      readonly key?: string;
      readonly until?: Date;
    }
  | { readonly kind: "approval"; readonly node: string; readonly until?: Date }
  | { readonly kind: "run"; readonly node: string; readonly runId: string };

/** How a run stands. */
export interface RunStatus {
  runId: string;
  workflow: string;
  /** The digest of the IR that the run began with. */
  version: string;
  state: RunState;
  origin: RunOrigin;
  /** The id of the principal that began it, or on whose behalf it was begun; not there when nobody was known. */
  startedBy?: string;
  /** When it was begun. */
  startedAt: Date;
  finishedAt: Date | null;
  /** The paths of the nodes that have finished, in that order. */
  finishedSteps: string[];
  /** Empty unless the run is waiting. */
  waits: Wait[];
  /** The scope at the end; only when done. */
  output?: unknown;
  /** Only when failed or canceled. */
  error?: ErrorShape;
}

export interface StartOptions {
  /** The same id twice is the same run. Default: a new one. */
  runId?: string;
  origin?: RunOrigin;
  /** On whose behalf; `ctx.principal` of every step. */
  principal?: Principal;
  /** Begins no earlier, milliseconds from now by the store's clock. Default 0. */
  delayMs?: number;
}

export interface ExecuteOptions extends StartOptions {
  /** Stops waiting and cancels the run, which fails with `canceled`. */
  signal?: AbortSignal;
}

export interface RunFilter {
  workflow?: string;
  state?: RunState;
  originName?: string;
  /** Only runs that the principal with this id began. */
  startedBy?: string;
  /** Newest first, at most so many. Default 50, at most 500. */
  limit?: number;
  /** Only runs that began before this one. */
  before?: string;
}

export interface Engine {
  readonly durable: boolean;
  /**
   * Runs to the end. Throws `step_failed` naming workflow, step, attempts and cause; `invalid_input`; `conflict`;
   * `canceled`; `rate_limited` when the workflow's queue is full.
   */
  execute<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options?: ExecuteOptions,
  ): Promise<WorkflowOutput<W>>;
  /** Returns as soon as the run is begun, durably where the engine is. */
  start<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options?: StartOptions,
  ): Promise<{ runId: string }>;
  run(runId: string): Promise<RunStatus | undefined>;
  runs(filter?: RunFilter): Promise<RunStatus[]>;
  /**
   * The life of a run after the event `after` (0: from its beginning), until its end or the signal. None is left out or
   * given twice, whichever instance is asked and whichever drives the run. Throws `not_found`.
   */
  events(runId: string, options?: { after?: number; signal?: AbortSignal }): AsyncIterable<RunEvent>;
  /**
   * Publishes an event: runs that wait for it, or that began before it and will, get it; event triggers start theirs.
   * The same `id` twice is one event. Throws `invalid_input`.
   */
  publish<E extends AnyEvent>(
    event: E,
    payload: z.input<E["payload"]>,
    options?: { id?: string },
  ): Promise<{ id: string }>;
  /** Answers an `.approve` node. Throws `not_found`, or `conflict` when it was answered otherwise or no longer waits. */
  approve(runId: string, node: string, answer: { approved: boolean; by: string; comment?: string }): Promise<void>;
  /**
   * Ends a run and its children; finished steps are compensated, also those of a run that failed with `interrupted`. Any
   * other run that has ended is left alone (false).
   */
  cancel(runId: string, options?: { reason?: string }): Promise<boolean>;
  /** Stops a run between two steps. Throws `conflict` when it has ended. */
  pause(runId: string): Promise<void>;
  /** Lets a paused run go on. Throws `conflict` when it is not paused. */
  resume(runId: string): Promise<void>;
  /**
   * Carries on a failed or canceled run from what failed; with `from` also again from that node on, whose result and those
   * of the nodes after it are forgotten. Throws `conflict` when it has not ended or was compensated, `not_found`.
   */
  retry(runId: string, options?: { from?: string }): Promise<void>;
  /** A new run with the same workflow and input, on behalf of `principal`, else of whom the first was for. Throws `not_found`. */
  rerun(runId: string, options?: { runId?: string; principal?: Principal }): Promise<{ runId: string }>;
  /**
   * Works: carries on runs of these workflows whose worker died, takes queued ones, wakes waiting ones, dispatches events
   * to triggers and fires crons, from now on. Returns how many runs it took at once.
   */
  work(registry: Registry): Promise<number>;
  /** A durable text by name, for schedulers: null when it was never set. */
  cursor(name: string): Promise<string | null>;
  /** Sets it when it is still `from`; false when another was quicker. */
  moveCursor(name: string, from: string | null, to: string): Promise<boolean>;
  /** The clock that timers go by: of Postgres where the engine is durable. */
  now(): Promise<Date>;
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
  /** Runs that this process drives at the same time; more stay queued. Default 100. */
  maxRunning?: number;
  /** Queued runs of one workflow beyond which `start` throws `rate_limited`. Default 100,000. */
  maxQueued?: number;
  /** Days after its end that a run and its journal are kept. Default 30. */
  retainDays?: number;
  log?: Log;
}
