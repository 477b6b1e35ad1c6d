// Run engine: begins, drives, takes over and hands on runs over a store. One per process, usually.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { digest } from "../digest.ts";
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import {
  type AnyWorkflow,
  canServe,
  type Scope,
  type WorkflowInput,
  type WorkflowOutput,
} from "../workflows/workflow.ts";
import type { Engine, ExecuteOptions, RunStatus } from "./engine.ts";
import { executeRun, HandedOver } from "./execute-run.ts";
import { inRunSpan, openRunSpan, type RunSpan } from "./run-span.ts";
import { type Lease, LeaseLost, type RunStore, type StoredRun } from "./run-store.ts";

/** A run that this process drives. */
interface Driven {
  readonly lease: Lease;
  readonly abort: AbortController;
  /** Settles with the scope, or the error of the run, LeaseLost or HandedOver. */
  readonly ended: Promise<Scope>;
}

interface Parts {
  store: RunStore;
  leaseMs: number;
  closeMs: number;
  log: Log;
}

/** Runs that are taken over and driven at the same time. */
const maxResumed = 50;

export class RunEngine implements Engine {
  readonly durable: boolean;
  readonly #store: RunStore;
  readonly #log: Log;
  readonly #leaseMs: number;
  readonly #closeMs: number;
  /** By run id, from before the row is written, so that two calls with one id are one run. */
  readonly #beginning = new Map<string, Promise<{ run: StoredRun; driven: Driven | undefined }>>();
  readonly #driven = new Map<string, Driven>();
  readonly #resumable = new Map<string, AnyWorkflow>();
  /** Runs whose IR this code cannot serve; said once each. */
  readonly #unservable = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #scanning: Promise<number> | undefined;
  #closing = false;

  constructor({ store, leaseMs, closeMs, log }: Parts) {
    this.#store = store;
    this.#log = log;
    this.#leaseMs = leaseMs;
    this.#closeMs = closeMs;
    this.durable = store.durable;
    this.#every(leaseMs / 3, () => this.#renew());
  }

  async execute<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options: ExecuteOptions = {},
  ): Promise<WorkflowOutput<W>> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { run, driven } = await this.#begin(workflow, input, options.runId);
    const giveUp = () => driven?.abort.abort(canceled(run));
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      return (await this.#end(workflow, run.id, driven, signal)) as WorkflowOutput<W>;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  async start<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options: { runId?: string } = {},
  ): Promise<{ runId: string }> {
    const { run } = await this.#begin(workflow, input, options.runId);
    return { runId: run.id };
  }

  async run(runId: string): Promise<RunStatus | undefined> {
    const run = await this.#store.find(runId);
    if (!run) return undefined;
    const steps = await this.#store.steps(runId);
    return {
      runId,
      workflow: run.workflow,
      version: run.version,
      state: run.state,
      startedAt: run.startedAt,
      finishedAt: run.finishedAt,
      finishedSteps: [...steps.keys()],
      ...(run.state === "done" ? { output: run.output } : {}),
      ...(run.error === undefined ? {} : { error: run.error }),
    };
  }

  async resume(workflows: readonly AnyWorkflow[]): Promise<number> {
    const first = this.#resumable.size === 0;
    for (const workflow of workflows) this.#resumable.set(workflow.name, workflow);
    if (first && workflows.length > 0) this.#every(this.#leaseMs / 2, () => this.#scan());
    return this.#scan();
  }

  check(): Promise<void> {
    return this.#store.check();
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    // In memory nobody could carry a run on, so runs go to their end; durable ones stop between two nodes.
    this.#closing = true;
    const limit = sleep(this.#closeMs, undefined, { ref: false });
    await Promise.race([Promise.allSettled(this.#beginning.values()), limit]);
    const ended = Promise.allSettled([...this.#driven.values()].map(({ ended }) => ended));
    await Promise.race([ended, limit]);
    for (const timer of this.#timers) clearInterval(timer);
    await this.#scanning?.catch(() => {});
    const left = [...this.#driven.values()];
    for (const { abort } of left) abort.abort(new HandedOver());
    await this.#store.release(left.map(({ lease }) => lease)).catch(() => {});
    await this.#store.close();
  }

  /** Begins the run or finds it. `driven` is set when this process drives it. */
  async #begin(workflow: AnyWorkflow, input: unknown, runId: string = randomUUID()) {
    if (this.#closing) {
      throw new TsdevError("unavailable", { message: "the workflow engine is closing", fix: "try again in a moment" });
    }
    const scope = (await checkContract(workflow.input, input, `the input of workflow "${workflow.name}"`)) as Scope;
    const inputDigest = digest(input);
    let beginning = this.#beginning.get(runId);
    if (!beginning) {
      beginning = this.#beginNew(workflow, input, scope, inputDigest, runId);
      this.#beginning.set(runId, beginning);
      // Kept while the run is driven here; after that the store knows.
      const forget = () => this.#beginning.delete(runId);
      beginning.then(({ driven }) => (driven ? driven.ended.then(forget, forget) : forget()), forget);
    }
    const begun = await beginning.catch((error) => {
      throw TsdevError.is(error) ? error : databaseAway(`run "${runId}" could not begin`, error);
    });
    if (begun.run.workflow !== workflow.name || begun.run.inputDigest !== inputDigest) {
      throw new TsdevError("conflict", {
        message: `run "${runId}" is there already, of workflow "${begun.run.workflow}" or with another input`,
        fix: "use another runId, or the same workflow and input to get that run",
      });
    }
    return begun;
  }

  async #beginNew(workflow: AnyWorkflow, input: unknown, scope: Scope, inputDigest: string, runId: string) {
    const span = openRunSpan(workflow, runId);
    const { run, begun } = await this.#store.begin({
      id: runId,
      workflow: workflow.name,
      version: workflow.version,
      ir: workflow.ir,
      input,
      scope,
      inputDigest,
      traceparent: span.traceparent,
    });
    if (begun && !this.#driven.has(runId)) return { run, driven: this.#drive(workflow, run, span) };
    return { run, driven: this.#driven.get(runId) };
  }

  #drive(workflow: AnyWorkflow, run: StoredRun, span: RunSpan, finished?: ReadonlyMap<string, unknown>): Driven {
    const abort = new AbortController();
    const ended = this.#toEnd(workflow, run, span, abort.signal, finished).finally(() => {
      if (this.#driven.get(run.id) === driven) this.#driven.delete(run.id);
    });
    // Whoever waits gets the error; a run that nobody waits for must not end the process.
    ended.catch((error) => {
      if (error instanceof LeaseLost || error instanceof HandedOver || TsdevError.is(error)) return;
      this.#log.error("a run stopped and will be taken over", { runId: run.id, workflow: run.workflow, error });
    });
    const driven: Driven = { lease: { runId: run.id, epoch: run.epoch }, abort, ended };
    this.#driven.set(run.id, driven);
    return driven;
  }

  async #toEnd(
    workflow: AnyWorkflow,
    run: StoredRun,
    span: RunSpan,
    signal: AbortSignal,
    known: ReadonlyMap<string, unknown> | undefined,
  ): Promise<Scope> {
    return inRunSpan(span, workflow, run, async () => {
      const store = this.#store;
      const finished = known ?? new Map<string, unknown>();
      const stopping = () => this.#closing && store.durable;
      let scope: Scope;
      try {
        scope = await executeRun({ run, workflow, store, finished, signal, stopping });
      } catch (error) {
        if (TsdevError.is(error)) {
          await store.finishRun({ runId: run.id, epoch: run.epoch, state: "failed", error: error.toJSON() });
        } else if (error instanceof HandedOver) {
          await store.release([{ runId: run.id, epoch: run.epoch }]);
        }
        throw error;
      }
      await store.finishRun({ runId: run.id, epoch: run.epoch, state: "done", output: scope });
      return scope;
    });
  }

  /** Waits for the end of a run, wherever it is driven; drives it here when its worker is lost. */
  async #end(workflow: AnyWorkflow, runId: string, driven: Driven | undefined, signal?: AbortSignal): Promise<Scope> {
    let here = driven;
    for (let wait = 20; ; wait = Math.min(wait * 2, 500)) {
      if (here) {
        try {
          return await here.ended;
        } catch (error) {
          if (error instanceof HandedOver) throw handedOver(runId);
          if (TsdevError.is(error)) throw error;
          if (!(error instanceof LeaseLost))
            throw databaseAway(`run "${runId}" stopped and is carried on later`, error);
        }
      }
      signal?.throwIfAborted();
      const run = await this.#store.find(runId);
      if (!run)
        throw new TsdevError("not_found", { message: `no run "${runId}"`, fix: "it was deleted; start another" });
      if (run.state === "done") return run.output as Scope;
      if (run.state === "failed") throw fromShape(run);
      if (this.#closing) throw handedOver(runId);
      here =
        this.#driven.get(runId) ?? (canServe(workflow, run.ir) ? await this.#takeOver(workflow, runId) : undefined);
      if (!here) await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  async #takeOver(workflow: AnyWorkflow, runId: string): Promise<Driven | undefined> {
    if (this.#closing || this.#driven.has(runId)) return this.#driven.get(runId);
    const run = await this.#store.claim(runId);
    if (!run) return undefined;
    const finished = await this.#store.steps(runId);
    this.#log.info("carrying on a run whose worker is gone", {
      runId,
      workflow: run.workflow,
      finished: finished.size,
    });
    const span = openRunSpan({ name: run.workflow, version: run.version }, runId, run.traceparent);
    return this.#drive(workflow, run, span, finished);
  }

  #scan(): Promise<number> {
    this.#scanning ??= this.#scanOnce().finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  async #scanOnce(): Promise<number> {
    const free = maxResumed - this.#driven.size;
    if (this.#closing || free <= 0 || this.#resumable.size === 0) return 0;
    const except = [...this.#driven.keys(), ...this.#unservable];
    let taken = 0;
    for (const run of await this.#store.expired([...this.#resumable.keys()], except, free)) {
      const workflow = this.#resumable.get(run.workflow)!;
      if (!canServe(workflow, run.ir)) {
        this.#unservable.add(run.id);
        this.#log.warn("a run needs a step that this version of its workflow no longer has; left to another version", {
          runId: run.id,
          workflow: run.workflow,
        });
      } else if (await this.#takeOver(workflow, run.id)) taken++;
    }
    return taken;
  }

  async #renew(): Promise<void> {
    const leases = [...this.#driven.values()].map(({ lease }) => lease);
    if (leases.length === 0) return;
    const held = await this.#store.renew(leases);
    for (const { runId, epoch } of leases) {
      const driven = this.#driven.get(runId);
      if (!held.has(runId) && driven?.lease.epoch === epoch) driven.abort.abort(new LeaseLost(runId));
    }
  }

  /** Runs `task` from time to time. A failure is said and tried at the next beat. */
  #every(ms: number, task: () => Promise<unknown>): void {
    const beat = () => {
      task().catch((error) => this.#log.warn("the workflow engine's database is away", { error: String(error) }));
    };
    this.#timers.push(setInterval(beat, ms).unref());
  }
}

function canceled(run: StoredRun): TsdevError {
  return new TsdevError("canceled", {
    message: `run "${run.id}" of workflow "${run.workflow}" was canceled`,
    fix: "start it again with another runId",
  });
}

function handedOver(runId: string): TsdevError {
  return new TsdevError("unavailable", {
    message: `this process is closing; run "${runId}" is carried on by another`,
    fix: "ask again with the same runId",
  });
}

function databaseAway(what: string, cause: unknown): TsdevError {
  return new TsdevError("unavailable", {
    message: `${what}: the workflow engine's database is away`,
    fix: "look at the database, then ask again with the same runId",
    cause,
  });
}

function fromShape(run: StoredRun): TsdevError {
  const shape = run.error ?? { code: "run_failed" as const, message: "the run failed", fix: "look at its trace" };
  return new TsdevError(shape.code, shape);
}
