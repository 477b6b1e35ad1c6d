// Run engine: the verbs of an engine over a store, and the runs that this process drives. One per process, usually.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { digest } from "../digest.ts";
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import type { Registry } from "../registry.ts";
import { startTriggers } from "../triggers/start-triggers.ts";
import type { AnyWorkflow, NodeCode, Scope } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { WorkflowInput, WorkflowOutput } from "../workflows/workflow.ts";
import { answeredOtherwise, answerRun, cancelRun, isSameAnswer, pauseRun, resumeRun, retryRun } from "./acts.ts";
import { dispatchEvents } from "./dispatch-events.ts";
import { type BegunChild, Drive, Stopped } from "./drive.ts";
import { driveRun, type Outcome } from "./drive-run.ts";
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
import { inRunSpan, openRunSpan, type RunSpan } from "./run-span.ts";
import { statusOf } from "./run-status.ts";
import {
  type Act,
  type ActView,
  type ClaimedRun,
  type Lease,
  LeaseLost,
  type NewRun,
  type Notice,
  type RunStore,
  type StoredRun,
} from "./run-store.ts";
import { ServedWorkflows } from "./served-workflows.ts";

/** A run that this process drives. */
interface Driven {
  readonly lease: Lease;
  drive: Drive | undefined;
  /** Rejects with LeaseLost or what the store threw. */
  ended: Promise<Outcome>;
}

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

/** A run that is due later than this is found by polling, milliseconds. */
const timerHorizonMs = 60_000;
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
  readonly #driven = new Map<string, Driven>();
  /** Places that are promised to runs which are being begun or claimed. */
  #promised = 0;
  readonly #served = new ServedWorkflows();
  readonly #followers = new Followers();
  readonly #queued = new Map<string, { count: number; at: number }>();
  /** Runs whose IR this code cannot serve; said once each. */
  readonly #unservable = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #registry: Registry | undefined;
  #stopTriggers: (() => Promise<void>) | undefined;
  #scanning: Promise<number> | undefined;
  #scanAgain = false;
  #dispatching: Promise<void> | undefined;
  #dispatchAgain = false;
  #closing = false;

  constructor(parts: RunEngineParts) {
    this.#parts = parts;
    this.#store = parts.store;
    this.#log = parts.log;
    this.durable = parts.store.durable;
    this.#store.listen((notice) => this.#onNotice(notice));
    this.#every(parts.leaseMs / 3, () => this.#renew());
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
    return this.#scan();
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
    const limit = sleep(this.#parts.closeMs, undefined, { ref: false });
    await Promise.race([this.#stopTriggers?.(), limit]);
    await Promise.race([Promise.allSettled(this.#beginning.values()), limit]);
    if (this.durable) for (const { drive } of this.#driven.values()) drive?.stop(new Stopped("handed over"), false);
    const ended = Promise.allSettled([...this.#driven.values()].map(({ ended }) => ended));
    await Promise.race([ended, limit]);
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.allSettled([this.#scanning, this.#dispatching]);
    const left = [...this.#driven.values()];
    for (const { drive } of left) drive?.stop(new Stopped("handed over"), true);
    await this.#store.release(left.map(({ lease }) => lease)).catch(() => {});
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
    const take = this.#places() > 0 && slotKey === null && delayMs === 0;
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
      if (!taken || this.#driven.has(id)) return { run, driven: this.#driven.get(id), taken };
      const { drive, ended } = this.#drive(workflow.code, run, 1, undefined, span);
      return { run, driven: this.#keep(run, ended, drive), taken };
    };
    const { run, driven, taken } = await (take ? this.#promising(1, begin) : begin());
    if (!taken && run.state === "queued") {
      const counted = this.#queued.get(name);
      if (counted) counted.count++;
      if (delayMs > 0) this.#scanAt(new Date(this.#store.now().getTime() + delayMs));
      else void this.#scan().catch(() => {});
    }
    return { run, driven };
  }

  #places(): number {
    return this.#parts.maxRunning - this.#driven.size - this.#promised;
  }

  /** Keeps places free while runs are on their way to them. */
  async #promising<T>(count: number, fn: () => Promise<T>): Promise<T> {
    this.#promised += count;
    try {
      return await fn();
    } finally {
      this.#promised -= count;
    }
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

  /** Drives a run whose lease is ours. */
  #drive(
    code: ReadonlyMap<string, NodeCode>,
    run: StoredRun,
    seq: number,
    history: History | undefined,
    span: RunSpan,
  ): { drive: Drive; ended: Promise<Outcome> } {
    const drive = new Drive({
      run,
      seq,
      store: this.#store,
      code,
      history,
      span: span.span,
      onRow: () => this.#followers.changed(run.id),
      beginChild: (child) => this.#beginChild(run, child),
    });
    if (run.request) drive.take(run.request);
    if (this.#closing && this.durable) drive.stop(new Stopped("handed over"), false);
    const parts = { input: this.#served.get(run.workflow)?.input, code };
    const ended = inRunSpan(span, run, parts, () =>
      driveRun(drive, (child) => this.cancel(child, { reason: "its caller ended" })),
    );
    return { drive, ended };
  }

  #keep(run: StoredRun, ended: Promise<Outcome>, drive?: Drive): Driven {
    const driven: Driven = { lease: { runId: run.id, epoch: run.epoch }, drive, ended };
    driven.ended = ended.then(
      (outcome) => {
        this.#leave(driven);
        this.#onOutcome(run, driven, outcome);
        return outcome;
      },
      (error) => {
        this.#leave(driven);
        this.#followers.changed(run.id);
        // Whoever waits gets the error; a run that nobody waits for must not end the process.
        if (!(error instanceof LeaseLost)) {
          this.#log.error("a run stopped and will be taken over", { runId: run.id, workflow: run.workflow, error });
        }
        throw error;
      },
    );
    driven.ended.catch(() => {});
    this.#driven.set(run.id, driven);
    return driven;
  }

  #leave(driven: Driven): void {
    const { runId } = driven.lease;
    if (this.#driven.get(runId) !== driven) return;
    // A place is free.
    const full = this.#places() <= 0;
    this.#driven.delete(runId);
    if (full) void this.#scan().catch(() => {});
  }

  #onOutcome(run: StoredRun, { drive }: Driven, outcome: Outcome): void {
    this.#followers.changed(run.id);
    if (outcome.state === "waiting" && drive?.dueAt) this.#scanAt(drive.dueAt);
    if (!endStates.has(outcome.state)) return;
    if (run.parent !== null) void this.#store.wake([run.parent]).catch(() => {});
    if (run.slotKey !== null) void this.#scan().catch(() => {});
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
      here = this.#driven.get(runId);
      if (!here) await changed;
      here = this.#driven.get(runId);
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
    this.#look(runId);
    return outcome.result;
  }

  #onNotice(notice: Notice): void {
    if (this.#closing) return;
    if (notice.kind === "run") {
      this.#followers.changed(notice.runId);
      this.#look(notice.runId);
    } else if (notice.kind === "event") this.#dispatch();
    else void this.#scan().catch(() => {});
  }

  #look(runId: string): void {
    // A failure is made good by the next beat.
    this.#driven
      .get(runId)
      ?.drive?.look()
      .catch(() => {});
  }

  async #poll(): Promise<void> {
    this.#dispatch();
    await this.#scan();
  }

  #scanAt(at: Date): void {
    const left = at.getTime() - this.#store.now().getTime();
    if (left > timerHorizonMs || this.#closing) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#scan().catch(() => {});
    }, Math.max(0, left) + 1).unref();
    this.#timers.add(timer);
  }

  #scan(): Promise<number> {
    if (this.#scanning) {
      this.#scanAgain = true;
      return this.#scanning;
    }
    this.#scanning = (async () => {
      let taken = 0;
      do {
        this.#scanAgain = false;
        taken += await this.#scanOnce();
      } while (this.#scanAgain && !this.#closing);
      return taken;
    })().finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  /** Takes what is due. */
  async #scanOnce(): Promise<number> {
    const free = this.#places();
    const names = this.#served.names;
    if (this.#closing || free <= 0 || names.length === 0) return 0;
    const except = { runIds: [...this.#driven.keys()], versions: this.#served.unservable };
    const due = await this.#store.due(names, except, free);
    const ids: string[] = [];
    for (const { id, workflow, version } of due) {
      let code = this.#served.knownCode(workflow, version);
      if (code === undefined) {
        const run = await this.#store.find(id);
        if (!run) continue;
        code = this.#served.code(workflow, version, run.ir);
      }
      if (code) ids.push(id);
      else this.#sayUnservable(id, workflow, version);
    }
    if (ids.length === 0 || this.#closing) return 0;
    const places = ids.slice(0, Math.max(0, this.#places()));
    const claimed = await this.#promising(places.length, async () => {
      const runs = await this.#store.claim(places);
      for (const run of runs) this.#carryOn(run);
      return runs;
    });
    if (due.length === free && claimed.length > 0) this.#scanAgain = true;
    return claimed.length;
  }

  #sayUnservable(runId: string, workflow: string, version: string): void {
    if (this.#unservable.has(runId)) return;
    this.#unservable.add(runId);
    this.#log.warn("runs need a node that this version of their workflow no longer has; left to another version", {
      runId,
      workflow,
      version,
    });
  }

  #carryOn(run: ClaimedRun): void {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const driven = this.#keep(run, promise);
    resolve(
      (async () => {
        const rows = (await this.#store.history([run.id], true)).get(run.id)!;
        const history = new History(rows, run.ir);
        if (history.deaths > 0) {
          this.#log.info("carrying on a run whose worker is gone", { runId: run.id, workflow: run.workflow });
        }
        const resumed = rows.at(-1)?.type !== "run.started";
        const span = openRunSpan(run, { traceparent: run.traceparent, resumed });
        const code = this.#served.code(run.workflow, run.version, run.ir)!;
        const { drive, ended } = this.#drive(code, run, run.seq, history, span);
        driven.drive = drive;
        return ended;
      })(),
    );
  }

  async #renew(): Promise<void> {
    await this.#store.askNow();
    const leases = [...this.#driven.values()].map(({ lease }) => lease);
    if (leases.length === 0) return;
    const held = await this.#store.renew(leases);
    for (const { runId, epoch } of leases) {
      const driven = this.#driven.get(runId);
      if (driven?.lease.epoch !== epoch) continue;
      const standing = held.get(runId);
      if (!standing) driven.drive?.stop(new LeaseLost(runId), true);
      else if (driven.drive?.isBehind(standing.signals)) this.#look(runId);
    }
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
