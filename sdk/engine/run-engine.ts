// Run engine: the verbs of an engine, over a store and a worker. One per process, usually.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { TsdevError } from "../errors.ts";
import { nodesOf } from "../ir/ir.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import type { Principal } from "../procedures/procedure.ts";
import type { Registry } from "../registry.ts";
import { startTriggers } from "../triggers/start-triggers.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";
import { answeredOtherwise, answerRun, cancelRun, isSameAnswer, pauseRun, resumeRun, retryRun } from "./acts.ts";
import { Beginnings } from "./beginnings.ts";
import { Dispatcher } from "./dispatch-events.ts";
import { type EndOfRunParts, endOfRun } from "./end-of-run.ts";
import type { Engine, ExecuteOptions, RunFilter, RunStatus, StartOptions } from "./engine.ts";
import { Followers, followRun } from "./follow-run.ts";
import { History } from "./history.ts";
import { nodeIdOf } from "./path.ts";
import { noRun } from "./run-errors.ts";
import type { RunEvent } from "./run-event.ts";
import { RunMetrics } from "./run-metrics.ts";
import { statusOf } from "./run-status.ts";
import type { Act, ActView, NewRun, Notice, RunStore } from "./run-store.ts";
import { ServedWorkflows } from "./served-workflows.ts";
import { Worker } from "./worker.ts";

export interface RunEngineParts {
  store: RunStore;
  leaseMs: number;
  closeMs: number;
  maxRunning: number;
  maxQueued: number;
  retainDays: number;
  log: Log;
}

const pollMs = 1_000;
const mendMs = 5_000;
const pruneMs = 3_600_000;

export class RunEngine implements Engine {
  readonly durable: boolean;
  readonly #parts: RunEngineParts;
  readonly #store: RunStore;
  readonly #log: Log;
  readonly #served = new ServedWorkflows();
  readonly #followers = new Followers();
  readonly #worker: Worker;
  readonly #beginnings: Beginnings;
  readonly #dispatcher: Dispatcher;
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopTriggers: (() => Promise<void>) | undefined;
  readonly #ending: EndOfRunParts;
  readonly #metrics: RunMetrics;
  #closing = false;

  constructor(parts: RunEngineParts) {
    this.#parts = parts;
    this.#store = parts.store;
    this.#log = parts.log;
    this.durable = parts.store.durable;
    this.#metrics = new RunMetrics(parts.store);
    this.#worker = new Worker({
      store: parts.store,
      log: parts.log,
      maxRunning: parts.maxRunning,
      leaseMs: parts.leaseMs,
      served: this.#served,
      followers: this.#followers,
      metrics: this.#metrics,
      beginChild: (parent, child) => this.#beginnings.beginChild(parent, child),
      cancel: (runId) => this.cancel(runId, { reason: "its caller ended" }),
    });
    const { store, maxQueued } = parts;
    this.#beginnings = new Beginnings({ store, served: this.#served, worker: this.#worker, maxQueued });
    this.#dispatcher = new Dispatcher(this, store, parts.log);
    this.#ending = { store, worker: this.#worker, followers: this.#followers, isClosing: () => this.#closing };
    this.#store.listen((notice) => this.#onNotice(notice));
    this.#every(parts.leaseMs / 3, () => this.#worker.renew());
    this.#every(Math.min(pollMs, parts.leaseMs / 2), () => this.#poll());
    this.#every(mendMs, () => this.#store.mend());
    this.#every(pruneMs, () => this.#prune());
  }

  async execute<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options: ExecuteOptions = {},
  ): Promise<WorkflowOutput<W>> {
    const { signal } = options;
    if (signal?.aborted) throw canceledBy(workflow.name, signal);
    const { run, driven } = await this.#beginnings.begin(workflow, input, options);
    const giveUp = () => void this.cancel(run.id, { reason: reasonOf(signal!) }).catch(() => {});
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    try {
      return (await endOfRun(this.#ending, run.id, driven, signal)) as WorkflowOutput<W>;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  async start<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options: StartOptions = {},
  ): Promise<{ runId: string }> {
    const { run } = await this.#beginnings.begin(workflow, input, options);
    return { runId: run.id };
  }

  async run(runId: string): Promise<RunStatus | undefined> {
    const run = await this.#store.find(runId);
    if (!run) return undefined;
    const history = await this.#store.history([runId], false);
    return statusOf(run, history.get(runId)!);
  }

  async runs(filter: RunFilter = {}): Promise<RunStatus[]> {
    const limit = Math.max(1, Math.min(filter.limit ?? 50, 500));
    const runs = await this.#store.list({ ...filter, limit });
    const history = await this.#store.history(
      runs.map(({ id }) => id),
      false,
    );
    return runs.map((run) => statusOf(run, history.get(run.id)!));
  }

  events(runId: string, options: { after?: number; signal?: AbortSignal } = {}): AsyncIterable<RunEvent> {
    return followRun(this.#store, this.#followers, runId, options.after ?? 0, options.signal);
  }

  async publish<E extends AnyEvent>(
    event: E,
    payload: z.input<E["payload"]>,
    options: { id?: string } = {},
  ): Promise<{ id: string }> {
    const checked = await checkContract(event.payload, payload, `the event "${event.name}"`);
    let key: string | null;
    try {
      key = event.key ? String(event.key(checked as never)) : null;
    } catch (cause) {
      throw new TsdevError("invalid_input", {
        message: `\`key\` of event "${event.name}" threw: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "let it cope with whatever fits the event's contract",
        cause,
      });
    }
    const id = options.id ?? randomUUID();
    await this.#store.publish({ id, name: event.name, key, payload });
    await this.#store.wakeFor({ name: event.name, key });
    return { id };
  }

  async approve(
    runId: string,
    node: string,
    answer: { approved: boolean; by: string; comment?: string },
  ): Promise<void> {
    if ((await this.#act(runId, answerRun(node, answer))) === "answered") return;
    const run = await this.#store.find(runId);
    const history = new History((await this.#store.history([runId], true)).get(runId) ?? [], run!.ir);
    if (!history.knows(node)) {
      throw new TsdevError("not_found", {
        message: `run "${runId}" has no node "${node}"`,
        fix: "see `waits` of its status",
      });
    }
    const isApproval = nodesOf(run!.ir).some(({ id, op }) => op === "approve" && id === nodeIdOf(node));
    const given = isApproval ? (history.of(node)?.output?.read() as typeof answer | undefined) : undefined;
    if (given && isSameAnswer(given, answer)) return;
    if (given) throw answeredOtherwise(node, given);
    throw new TsdevError("conflict", {
      message: `"${node}" of run "${runId}" does not wait for an answer (the run is ${run!.state})`,
      fix: "see `waits` of its status",
    });
  }

  async cancel(runId: string, options: { reason?: string } = {}): Promise<boolean> {
    const done = await this.#act(runId, cancelRun(options.reason ?? "canceled"));
    if (done === "ended") await this.#onEnd(runId);
    return done !== "over";
  }

  async pause(runId: string): Promise<void> {
    await this.#act(runId, pauseRun);
  }

  async resume(runId: string): Promise<void> {
    await this.#act(runId, resumeRun);
  }

  async retry(runId: string, options: { from?: string } = {}): Promise<void> {
    const run = await this.#store.find(runId);
    if (!run) throw noRun(runId);
    const history = new History((await this.#store.history([runId], false)).get(runId)!, run.ir);
    if (history.compensated) {
      throw new TsdevError("conflict", {
        message: `run "${runId}" was compensated: its finished steps were undone`,
        fix: "use rerun for a new run with the same input",
      });
    }
    const { from } = options;
    if (from !== undefined && !(history.knows(from) && history.hasBegunAround(from))) {
      throw new TsdevError("not_found", {
        message: history.knows(from)
          ? `run "${runId}" never came to "${from}"`
          : `run "${runId}" has no node "${from}"`,
        fix: 'name a node of the version it began with by its path, such as "pages[2]/read"; see its finishedSteps',
      });
    }
    await this.#act(runId, retryRun(from ?? null));
  }

  async rerun(runId: string, options: { runId?: string; principal?: Principal } = {}): Promise<{ runId: string }> {
    const run = await this.#store.find(runId);
    if (!run) throw noRun(runId);
    const origin = { kind: "rerun", id: runId } as const;
    const principal = options.principal ?? run.principal ?? undefined;
    const workflow = this.#served.get(run.workflow);
    const more = { origin, ...(options.runId ? { runId: options.runId } : {}), ...(principal ? { principal } : {}) };
    if (workflow) return this.start(workflow, run.input as never, more);
    // Without its code it is queued for whoever has it.
    const again: NewRun = {
      ...run,
      id: options.runId ?? randomUUID(),
      origin,
      parent: null,
      principal: principal ?? null,
    };
    await this.#store.begin(again, { take: false, delayMs: 0 });
    return { runId: again.id };
  }

  async work(registry: Registry): Promise<number> {
    this.#served.register(registry);
    this.#dispatcher.serve(registry);
    await this.#stopTriggers?.();
    this.#stopTriggers = await startTriggers(this, registry, { log: this.#log });
    this.#dispatcher.look();
    return this.#worker.scan();
  }

  cursor(name: string): Promise<string | null> {
    return this.#store.cursor(name);
  }

  moveCursor(name: string, from: string | null, to: string): Promise<boolean> {
    return this.#store.moveCursor(name, from, to);
  }

  now(): Promise<Date> {
    return this.#store.askNow();
  }

  check(): Promise<void> {
    return this.#store.check();
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    // In memory nobody could carry a run on, so runs go to their end; durable ones stop between two nodes.
    this.#closing = true;
    this.#worker.takeNoMore();
    const limit = sleep(this.#parts.closeMs, undefined, { ref: false });
    this.#beginnings.beginNoMore();
    this.#dispatcher.beginNoMore();
    await Promise.race([this.#stopTriggers?.(), limit]);
    await Promise.race([this.#beginnings.settled(), limit]);
    await this.#worker.stop(limit);
    for (const timer of this.#timers) clearInterval(timer);
    this.#metrics.close();
    await this.#dispatcher.stopped();
    await this.#worker.leave();
    await this.#store.close();
  }

  /** Of a run that no worker ended. */
  async #onEnd(runId: string): Promise<void> {
    const run = await this.#store.find(runId);
    if (run) this.#metrics.ended(run, run.state, run.error?.code);
    if (run && run.parent !== null) await this.#store.wake([run.parent]);
  }

  async #act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T> {
    const outcome = await this.#store.act(runId, (view) => {
      const { act, result } = decide(view);
      return { ...(act ? { act } : {}), result: { result } };
    });
    if (!outcome) throw noRun(runId);
    this.#followers.changed(runId);
    // Before this returns, so that a run which is driven here begins no step that the act was to prevent.
    await this.#worker.look(runId);
    return outcome.result;
  }

  #onNotice(notice: Notice): void {
    if (this.#closing) return;
    if (notice.kind === "run") {
      this.#followers.changed(notice.runId);
      void this.#worker.look(notice.runId);
    } else if (notice.kind === "event") this.#dispatcher.look();
    else this.#worker.scanSoon();
  }

  async #poll(): Promise<void> {
    this.#dispatcher.look();
    await this.#worker.scan();
  }

  async #prune(): Promise<void> {
    while (!this.#closing && (await this.#store.prune(this.#parts.retainDays)))
      await sleep(50, undefined, { ref: false });
  }

  /** Runs `task` from time to time. A failure is said and tried at the next beat. */
  #every(ms: number, task: () => Promise<unknown>): void {
    const beat = () => {
      task().catch((error) => {
        if (!this.#closing) this.#log.warn("the workflow engine's database is away", { error: String(error) });
      });
    };
    this.#timers.add(setInterval(beat, ms).unref());
  }
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason);
}

function canceledBy(workflow: string, signal: AbortSignal): TsdevError {
  return new TsdevError("canceled", {
    message: `a run of workflow "${workflow}" was canceled before it began: ${reasonOf(signal)}`,
    fix: "start it again",
  });
}
