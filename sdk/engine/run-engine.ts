// Run engine: the verbs of an engine, over a store and a worker. One per process, usually.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { digest } from "../digest.ts";
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import type { Registry } from "../registry.ts";
import { startTriggers } from "../triggers/start-triggers.ts";
import type { AnyWorkflow, Scope } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";
import { answeredOtherwise, answerRun, cancelRun, isSameAnswer, pauseRun, resumeRun, retryRun } from "./acts.ts";
import { dispatchEvents } from "./dispatch-events.ts";
import { type BegunChild, Stopped } from "./drive.ts";
import {
  type Engine,
  type ExecuteOptions,
  endStates,
  type RunFilter,
  type RunStatus,
  type StartOptions,
} from "./engine.ts";
import { Followers, followRun } from "./follow-run.ts";
import { History } from "./history.ts";
import type { RunEvent } from "./run-event.ts";
import { openRunSpan } from "./run-span.ts";
import { statusOf } from "./run-status.ts";
import {
  type Act,
  type ActView,
  LeaseLost,
  type NewRun,
  type Notice,
  type RunStore,
  type StoredRun,
} from "./run-store.ts";
import { ServedWorkflows } from "./served-workflows.ts";
import { type Driven, Worker } from "./worker.ts";

export interface RunEngineParts {
  store: RunStore;
  leaseMs: number;
  closeMs: number;
  maxRunning: number;
  maxQueued: number;
  retainDays: number;
  log: Log;
}

type Begun = { run: StoredRun; driven: Driven | undefined };

const pollMs = 1_000;
const mendMs = 5_000;
const pruneMs = 3_600_000;
/** A count of queued runs is used for so long, milliseconds. */
const countMs = 1_000;

export class RunEngine implements Engine {
  readonly durable: boolean;
  readonly #parts: RunEngineParts;
  readonly #store: RunStore;
  readonly #log: Log;
  /** By run id, from before the row is written, so that two calls with one id are one run. */
  readonly #beginning = new Map<string, Promise<Begun>>();
  readonly #served = new ServedWorkflows();
  readonly #followers = new Followers();
  readonly #worker: Worker;
  readonly #queued = new Map<string, { count: number; at: number }>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #registry: Registry | undefined;
  #stopTriggers: (() => Promise<void>) | undefined;
  #dispatching: Promise<void> | undefined;
  #dispatchAgain = false;
  #closing = false;

  constructor(parts: RunEngineParts) {
    this.#parts = parts;
    this.#store = parts.store;
    this.#log = parts.log;
    this.durable = parts.store.durable;
    this.#worker = new Worker({
      store: parts.store,
      log: parts.log,
      maxRunning: parts.maxRunning,
      served: this.#served,
      followers: this.#followers,
      beginChild: (parent, child) => this.#beginChild(parent, child),
      cancel: (runId) => this.cancel(runId, { reason: "its caller ended" }),
    });
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
    const { run, driven } = await this.#begin(workflow, input, options);
    const giveUp = () => void this.cancel(run.id, { reason: reasonOf(signal!) }).catch(() => {});
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    try {
      return (await this.#end(run.id, driven, signal)) as WorkflowOutput<W>;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  async start<W extends AnyWorkflow>(
    workflow: W,
    input: WorkflowInput<W>,
    options: StartOptions = {},
  ): Promise<{ runId: string }> {
    const { run } = await this.#begin(workflow, input, options);
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
    const given = history.of(node)?.output?.read() as typeof answer | undefined;
    if (given && isSameAnswer(given, answer)) return;
    if (given) throw answeredOtherwise(node, given);
    throw new TsdevError("conflict", {
      message: `"${node}" of run "${runId}" does not wait for an answer (the run is ${run!.state})`,
      fix: "see `waits` of its status",
    });
  }

  async cancel(runId: string, options: { reason?: string } = {}): Promise<boolean> {
    const done = await this.#act(runId, cancelRun(options.reason ?? "canceled"));
    if (done === "ended") await this.#tellParent(runId);
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
    if (options.from !== undefined && !history.knows(options.from)) {
      throw new TsdevError("not_found", {
        message: `run "${runId}" has no node "${options.from}"`,
        fix: "name a node of the version it began with, see its finishedSteps",
      });
    }
    await this.#act(runId, retryRun(options.from ?? null));
  }

  async rerun(runId: string, options: { runId?: string } = {}): Promise<{ runId: string }> {
    const run = await this.#store.find(runId);
    if (!run) throw noRun(runId);
    const origin = { kind: "rerun", id: runId } as const;
    const principal = run.principal ?? undefined;
    const workflow = this.#served.get(run.workflow);
    const more = { origin, ...(options.runId ? { runId: options.runId } : {}), ...(principal ? { principal } : {}) };
    if (workflow) return this.start(workflow, run.input as never, more);
    // Without its code it is queued for whoever has it.
    const again: NewRun = { ...run, id: options.runId ?? randomUUID(), origin, parent: null };
    await this.#store.begin(again, { take: false, delayMs: 0 });
    return { runId: again.id };
  }

  async work(registry: Registry): Promise<number> {
    this.#served.register(registry);
    this.#registry = registry;
    await this.#stopTriggers?.();
    this.#stopTriggers = await startTriggers(this, registry, { log: this.#log });
    this.#dispatch();
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
    await Promise.race([this.#stopTriggers?.(), limit]);
    await Promise.race([Promise.allSettled(this.#beginning.values()), limit]);
    await this.#worker.stop(limit);
    for (const timer of this.#timers) clearInterval(timer);
    await this.#dispatching;
    await this.#worker.leave();
    await this.#store.close();
  }

  /** Begins the run or finds it. `driven` is set when this process drives it. */
  async #begin(workflow: AnyWorkflow, input: unknown, options: StartOptions): Promise<Begun> {
    const { runId = randomUUID() } = options;
    if (this.#closing) {
      throw new TsdevError("unavailable", { message: "the workflow engine is closing", fix: "try again in a moment" });
    }
    const scope = (await checkContract(workflow.input, input, `the input of workflow "${workflow.name}"`)) as Scope;
    this.#served.add(workflow);
    let beginning = this.#beginning.get(runId);
    const fresh = beginning === undefined;
    if (!beginning) {
      beginning = this.#beginNew(workflow, input, scope, runId, options);
      this.#beginning.set(runId, beginning);
      // Kept while the run is driven here; after that the store knows.
      const forget = () => this.#beginning.delete(runId);
      beginning.then(({ driven }) => (driven ? driven.ended.then(forget, forget) : forget()), forget);
    }
    const begun = await beginning.catch((error) => {
      throw TsdevError.is(error) ? error : databaseAway(`run "${runId}" could not begin`, error);
    });
    const { run } = begun;
    if (fresh && run.input === input && run.workflow === workflow.name) return begun;
    if (run.workflow !== workflow.name || digest(run.input) !== digest(input)) {
      throw new TsdevError("conflict", {
        message: `run "${runId}" is there already, of workflow "${run.workflow}" or with another input`,
        fix: "use another runId, or the same workflow and input to get that run",
      });
    }
    return begun;
  }

  async #beginNew(
    workflow: AnyWorkflow,
    input: unknown,
    scope: Scope,
    id: string,
    options: StartOptions & { parent?: string; eventFloor?: number },
  ): Promise<Begun> {
    const { name, version, ir } = workflow;
    const { origin = { kind: "direct" }, delayMs = 0, parent = null, eventFloor } = options;
    const slotKey = ir.concurrency ? slotKeyOf(workflow, scope) : null;
    const take = this.#worker.places() > 0 && slotKey === null && delayMs === 0;
    if (!take && parent === null) await this.#checkQueue(name, id);
    const span = openRunSpan({ id, workflow: name, version, origin });
    const fresh: NewRun = {
      id,
      workflow: name,
      version,
      ir,
      input,
      scope,
      inputDigest: this.durable ? digest(input) : "",
      traceparent: span.traceparent,
      origin,
      principal: options.principal ?? null,
      slotKey,
      parent,
    };
    const begin = async () => {
      const { run, taken } = await this.#store.begin(fresh, {
        take,
        delayMs,
        ...(eventFloor === undefined ? {} : { eventFloor }),
      });
      return { run, driven: taken ? this.#worker.begin(run, workflow.code, span) : this.#worker.get(id), taken };
    };
    const { run, driven, taken } = await (take ? this.#worker.promising(1, begin) : begin());
    if (!taken && run.state === "queued") {
      const counted = this.#queued.get(name);
      if (counted) counted.count++;
      if (delayMs > 0) this.#worker.scanAt(new Date(this.#store.now().getTime() + delayMs));
      else this.#worker.scanSoon();
    }
    return { run, driven };
  }

  /** Throws `rate_limited` when as many runs are queued as may be. Counted once a second, and exactly near the limit. */
  async #checkQueue(workflow: string, runId: string): Promise<void> {
    const { maxQueued } = this.#parts;
    let counted = this.#queued.get(workflow);
    if (!counted || counted.count >= maxQueued || performance.now() - counted.at > countMs) {
      counted = { count: await this.#store.queued(workflow), at: performance.now() };
      this.#queued.set(workflow, counted);
    }
    if (counted.count < maxQueued) return;
    if (await this.#store.find(runId)) return;
    throw new TsdevError("rate_limited", {
      message: `${counted.count} runs of workflow "${workflow}" are queued, and no more than ${maxQueued} may be`,
      fix: "start it again later, add workers, or raise maxQueued",
    });
  }

  async #beginChild(parent: StoredRun, { runId, node, code, input }: BegunChild): Promise<void> {
    const workflow = code.workflow!;
    const scope = (await checkContract(workflow.input, input, `the input of workflow "${workflow.name}"`)) as Scope;
    this.#served.add(workflow);
    const origin = { kind: "call", name: node, id: parent.id } as const;
    const { eventFloor } = parent;
    const options = {
      origin,
      eventFloor,
      parent: parent.id,
      ...(parent.principal ? { principal: parent.principal } : {}),
    };
    await this.#beginNew(workflow, input, scope, runId, options);
  }

  async #tellParent(runId: string): Promise<void> {
    const run = await this.#store.find(runId);
    if (run && run.parent !== null) await this.#store.wake([run.parent]);
  }

  /** Waits for the end of a run, wherever it is driven. */
  async #end(runId: string, driven: Driven | undefined, signal?: AbortSignal): Promise<Scope> {
    let here = driven;
    for (let wait = 20; ; wait = Math.min(wait * 2, 500)) {
      if (here) {
        try {
          const outcome = await here.ended;
          if (outcome.state === "done") return outcome.output;
          if ("error" in outcome) throw outcome.error;
        } catch (error) {
          if (TsdevError.is(error)) throw error;
          if (!(error instanceof LeaseLost || error instanceof Stopped)) {
            throw databaseAway(`run "${runId}" stopped and is carried on later`, error);
          }
        }
        wait = 20;
      }
      if (this.#closing) throw handedOver(runId);
      const changed = this.#followers.next(runId, wait);
      const run = await this.#store.find(runId);
      if (!run) throw noRun(runId);
      if (run.state === "done") return run.output as Scope;
      if (endStates.has(run.state)) throw fromShape(run);
      here = this.#worker.get(runId);
      if (!here) await changed;
      here = this.#worker.get(runId);
      if (signal?.aborted && !here && this.#closing) throw handedOver(runId);
    }
  }

  async #act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T> {
    const outcome = await this.#store.act(runId, (view) => {
      const { act, result } = decide(view);
      return { ...(act ? { act } : {}), result: { result } };
    });
    if (!outcome) throw noRun(runId);
    this.#followers.changed(runId);
    this.#worker.look(runId);
    return outcome.result;
  }

  #onNotice(notice: Notice): void {
    if (this.#closing) return;
    if (notice.kind === "run") {
      this.#followers.changed(notice.runId);
      this.#worker.look(notice.runId);
    } else if (notice.kind === "event") this.#dispatch();
    else this.#worker.scanSoon();
  }

  async #poll(): Promise<void> {
    this.#dispatch();
    await this.#worker.scan();
  }

  #dispatch(): void {
    const registry = this.#registry;
    if (!registry || this.#closing) return;
    if (this.#dispatching) {
      this.#dispatchAgain = true;
      return;
    }
    this.#dispatching = (async () => {
      do {
        this.#dispatchAgain = false;
        await dispatchEvents(this, this.#store, registry, this.#log);
      } while (this.#dispatchAgain && !this.#closing);
    })()
      .catch((error) => this.#log.warn("events could not be dispatched and are later", { error: String(error) }))
      .finally(() => {
        this.#dispatching = undefined;
      });
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

function slotKeyOf(workflow: AnyWorkflow, scope: Scope): string {
  if (!workflow.concurrencyKey) return workflow.name;
  try {
    return `${workflow.name}:${String(workflow.concurrencyKey(scope as never))}`;
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: `the concurrency key of workflow "${workflow.name}" threw: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "let it cope with whatever fits the workflow's input",
      cause,
    });
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

function noRun(runId: string): TsdevError {
  return new TsdevError("not_found", { message: `no run "${runId}"`, fix: "check its id; old runs are deleted" });
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
