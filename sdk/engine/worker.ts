// Worker: the runs that this process drives: takes what is due as far as there are places, keeps the leases, and tells
// whoever waits when a run has come to rest.
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { NodeCode } from "../workflows/definition.ts";
import { type BegunChild, Drive } from "./drive.ts";
import { driveRun, type Outcome } from "./drive-run.ts";
import { endStates } from "./engine.ts";
import type { Followers } from "./follow-run.ts";
import { History } from "./history.ts";
import type { RunMetrics } from "./run-metrics.ts";
import { inRunSpan, openRunSpan, type RunSpan } from "./run-span.ts";
import { type ClaimedRun, type Lease, LeaseLost, type RunStore, type StoredRun } from "./run-store.ts";
import type { ServedWorkflows } from "./served-workflows.ts";
import { Stopped } from "./stops.ts";

/** A run that this process drives. */
export interface Driven {
  readonly lease: Lease;
  drive: Drive | undefined;
  /** Rejects with LeaseLost or what the store threw. */
  ended: Promise<Outcome>;
}

export interface WorkerParts {
  readonly store: RunStore;
  readonly log: Log;
  readonly maxRunning: number;
  readonly leaseMs: number;
  readonly served: ServedWorkflows;
  readonly followers: Followers;
  readonly metrics: RunMetrics;
  readonly beginChild: (parent: StoredRun, child: BegunChild) => Promise<void>;
  /** Cancels a child whose caller ended. */
  readonly cancel: (runId: string) => Promise<unknown>;
}

/** A run that is due later than this is found by polling, milliseconds. */
const timerHorizonMs = 60_000;

export class Worker {
  readonly #parts: WorkerParts;
  readonly #store: RunStore;
  readonly #driven = new Map<string, Driven>();
  /** Places that are promised to runs which are being begun or claimed. */
  #promised = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  #scanning: Promise<number> | undefined;
  #scanAgain = false;
  #closing = false;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#store = parts.store;
  }

  get(runId: string): Driven | undefined {
    return this.#driven.get(runId);
  }

  /** Drives a run that has just begun and whose lease is ours since `asked`, by `performance.now()`. */
  begin(run: StoredRun, code: ReadonlyMap<string, NodeCode>, span: RunSpan, asked: number): Driven {
    const known = this.#driven.get(run.id);
    if (known) return known;
    this.#parts.metrics.started(run);
    const { drive, ended } = this.#drive(code, run, 1, undefined, span, asked);
    return this.#keep(run, ended, drive);
  }

  places(): number {
    return this.#parts.maxRunning - this.#driven.size - this.#promised;
  }

  /** Keeps places free while runs are on their way to them. */
  async promising<T>(count: number, fn: () => Promise<T>): Promise<T> {
    this.#promised += count;
    try {
      return await fn();
    } finally {
      this.#promised -= count;
    }
  }

  /** Has a run that is driven here look at what was done to it. */
  async look(runId: string): Promise<void> {
    // A failure is made good by the next beat.
    await this.#driven
      .get(runId)
      ?.drive?.look()
      .catch(() => {});
  }

  /** Scans when something is due. */
  scanAt(at: Date): void {
    const left = at.getTime() - this.#store.now().getTime();
    if (left > timerHorizonMs || this.#closing) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.scanSoon();
    }, Math.max(0, left) + 1).unref();
    this.#timers.add(timer);
  }

  scanSoon(): void {
    // A failure is made good by the next beat.
    this.scan().catch(() => {});
  }

  /** Takes what is due; how many runs it took. */
  scan(): Promise<number> {
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

  async #scanOnce(): Promise<number> {
    const free = this.places();
    const names = this.#parts.served.names;
    if (this.#closing || free <= 0 || names.length === 0) return 0;
    const except = { runIds: [...this.#driven.keys()], versions: this.#parts.served.unservable };
    const due = await this.#store.due(names, except, free);
    const ids: string[] = [];
    for (const { id, workflow, version } of due) {
      let code = this.#parts.served.knownCode(workflow, version);
      if (code === undefined) {
        const run = await this.#store.find(id);
        if (!run) continue;
        code = this.#parts.served.code(workflow, version, run.ir);
        if (!code) this.#sayUnservable(run);
      }
      if (code) ids.push(id);
    }
    if (ids.length === 0 || this.#closing) return 0;
    const places = ids.slice(0, Math.max(0, this.places()));
    const claimed = await this.promising(places.length, async () => {
      const asked = performance.now();
      const runs = await this.#store.claim(places);
      for (const run of runs) this.#carryOn(run, asked);
      return runs;
    });
    if (due.length === free && claimed.length > 0) this.#scanAgain = true;
    return claimed.length;
  }

  /** Once for each version: its runs are not looked at again. */
  #sayUnservable({ id, workflow, version, ir }: StoredRun): void {
    this.#parts.log.warn("runs need nodes that this version of their workflow no longer has; left to another process", {
      runId: id,
      workflow,
      version,
      nodes: this.#parts.served.missing(workflow, ir),
      fix: `name the definition that has them: workflow("${workflow}", { previous: [earlier] })`,
    });
  }

  #carryOn(run: ClaimedRun, asked: number): void {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const driven = this.#keep(run, promise);
    resolve(
      (async () => {
        const rows = (await this.#store.history([run.id], true)).get(run.id)!;
        const history = new History(rows, run.ir);
        if (history.deaths > 0) {
          this.#parts.log.info("carrying on a run whose worker is gone", { runId: run.id, workflow: run.workflow });
        }
        const resumed = rows.at(-1)?.type !== "run.started";
        if (!resumed) this.#parts.metrics.started(run);
        const span = openRunSpan(run, { traceparent: run.traceparent, resumed });
        const code = this.#parts.served.code(run.workflow, run.version, run.ir)!;
        const { drive, ended } = this.#drive(code, run, run.seq, history, span, asked);
        driven.drive = drive;
        return ended;
      })(),
    );
  }

  /** Keeps the leases, and stops what was taken over. */
  async renew(): Promise<void> {
    await this.#store.askNow();
    const leases = [...this.#driven.values()].map(({ lease }) => lease);
    if (leases.length === 0) return;
    const asked = performance.now();
    const held = await this.#store.renew(leases);
    for (const { runId, epoch } of leases) {
      const driven = this.#driven.get(runId);
      if (driven?.lease.epoch !== epoch) continue;
      const standing = held.get(runId);
      if (!standing) driven.drive?.stop(new LeaseLost(runId), true);
      else driven.drive?.prolong(asked + this.#parts.leaseMs);
      if (standing && driven.drive?.isBehind(standing.signals)) void this.look(runId);
    }
  }

  /** Drives a run whose lease is ours. */
  #drive(
    code: ReadonlyMap<string, NodeCode>,
    run: StoredRun,
    seq: number,
    history: History | undefined,
    span: RunSpan,
    asked: number,
  ): { drive: Drive; ended: Promise<Outcome> } {
    const drive = new Drive({
      run,
      seq,
      store: this.#store,
      code,
      history,
      span: span.span,
      heldUntil: this.#store.durable ? asked + this.#parts.leaseMs : Number.POSITIVE_INFINITY,
      onRow: () => this.#parts.followers.changed(run.id),
      beginChild: (child) => this.#parts.beginChild(run, child),
    });
    if (run.request) drive.take(run.request);
    if (this.#closing && this.#store.durable) drive.stop(new Stopped("handed over"), false);
    const parts = { input: this.#parts.served.get(run.workflow)?.input, code };
    const ended = inRunSpan(span, run, parts, () => driveRun(drive, (child) => this.#parts.cancel(child)));
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
        this.#parts.followers.changed(run.id);
        // Whoever waits gets the error; a run that nobody waits for must not end the process.
        if (!(error instanceof LeaseLost)) {
          this.#parts.log.error("a run stopped and will be taken over", {
            runId: run.id,
            workflow: run.workflow,
            error,
          });
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
    const full = this.places() <= 0;
    this.#driven.delete(runId);
    if (full) this.scanSoon();
  }

  #onOutcome(run: StoredRun, { drive }: Driven, outcome: Outcome): void {
    this.#parts.followers.changed(run.id);
    if (outcome.state === "waiting" && drive?.dueAt) this.scanAt(drive.dueAt);
    if (!endStates.has(outcome.state)) return;
    this.#parts.metrics.ended(run, outcome.state, "error" in outcome ? codeOf(outcome.error) : undefined);
    if (run.parent !== null) void this.#store.wake([run.parent]).catch(() => {});
    if (run.slotKey !== null) this.scanSoon();
  }

  /** From now on nothing that is due is taken. */
  takeNoMore(): void {
    this.#closing = true;
  }

  /** Runs stop between two nodes where another can carry them on; else they go to their end. Waits until `limit`. */
  async stop(limit: Promise<unknown>): Promise<void> {
    this.takeNoMore();
    if (this.#store.durable)
      for (const { drive } of this.#driven.values()) drive?.stop(new Stopped("handed over"), false);
    const ended = Promise.allSettled([...this.#driven.values()].map(({ ended }) => ended));
    await Promise.race([ended, limit]);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#scanning?.catch(() => {});
  }

  /** Gives up what has not stopped in time. */
  async leave(): Promise<void> {
    const left = [...this.#driven.values()];
    for (const { drive } of left) drive?.stop(new Stopped("handed over"), true);
    await this.#store.release(left.map(({ lease }) => lease)).catch(() => {});
  }
}

function codeOf(error: unknown): string {
  return TsdevError.is(error) ? error.code : "unknown";
}
