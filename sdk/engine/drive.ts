// Drive: one run in the hands of this worker: its lease, what it waits for, and whether it must stop.
// Invariants:
// 1. `busy` counts the branches that do something. At zero, with waits left, the run is given up: its waits are stored,
//    its lease is free and this object is garbage. Nothing that happened meanwhile is missed: the change is refused when
//    the run was signaled after the last look.
// 2. A branch that is woken counts as busy from that moment, and the last branch of a join passes its count to the join.
import type { Span } from "@opentelemetry/api";
import type { TsdevError } from "../errors.ts";
import type { NodeCode, Scope as Values } from "../workflows/definition.ts";
import type { Wait } from "./engine.ts";
import type { History } from "./history.ts";
import { Hold } from "./hold.ts";
import { JournalWriter } from "./journal-writer.ts";
import type { ActRequest, Change, Lease, OpenWait, Row, RunStore, StoredRun } from "./run-store.ts";
import { Abandoned, Canceled, type Group, RunFailure, reasonOf, Stopped } from "./stops.ts";

/** Waits that are over so soon are not worth giving the run up for, milliseconds. */
const shortMs = 1_000;
/**
 * A run is kept for so long after it began to do nothing but wait, milliseconds for each row of its journal: reading it
 * again costs 1 to 2 µs a row, so that a run which is woken often pays at most a few percent for it.
 */
const lingerMsPerRow = 0.1;
/** Shorter journals are read again at once. */
const lingerRows = 500;
/** The longest time that a timer of Node can take, milliseconds. */
const longestTimerMs = 2_147_483_647;

interface Waiter {
  readonly wait: Wait;
  readonly group: Group | undefined;
  readonly until: Date | undefined;
  settle(error?: Error): void;
}

export interface DriveParts {
  readonly run: StoredRun;
  readonly seq: number;
  readonly store: RunStore;
  readonly code: ReadonlyMap<string, NodeCode>;
  /** Undefined for a run that has just begun. */
  readonly history: History | undefined;
  readonly span: Span;
  /** When the lease may end, by `performance.now()`. */
  readonly heldUntil: number;
  /** Called after rows were written. */
  readonly onRow: () => void;
  /** Begins a child, or finds it. Throws what `start` does. */
  readonly beginChild: (child: BegunChild) => Promise<void>;
}

export interface BegunChild {
  readonly runId: string;
  readonly node: string;
  readonly code: NodeCode;
  readonly input: unknown;
}

/** A step that has finished and knows what undoes it. */
export interface Compensable {
  readonly seq: number;
  readonly path: string;
  readonly id: string;
  readonly scope: { view(): Values };
}

export class Drive {
  readonly run: StoredRun;
  readonly lease: Lease;
  readonly code: ReadonlyMap<string, NodeCode>;
  readonly history: History | undefined;
  readonly store: RunStore;
  readonly traced: boolean;
  readonly beginChild: DriveParts["beginChild"];
  readonly #hold: Hold;
  readonly compensables: Compensable[] = [];
  /** Ids of the events that the run has received. */
  readonly received: string[];
  /** Ids of children that have not ended. */
  readonly children: Set<string>;
  /** Settles when the run has been given up because it only waits. */
  readonly givenUp: Promise<void>;
  /** When a run that was given up is due; null: when something happens. */
  dueAt: Date | null = null;
  #giveUp!: () => void;
  readonly #journal: JournalWriter;
  #signals: number;
  #stopped: Error | undefined;
  #hard = false;
  #busy = 1;
  #givingUp = false;
  #idleSince = 0;
  #lingering: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  /** The run has failed already, or is being undone: no node begins. */
  #over: "failed" | "undoing" | undefined;
  readonly #waiters = new Set<Waiter>();
  #abort: AbortController | undefined;
  readonly #inFlight = new Set<(reason: Error) => void>();

  constructor(parts: DriveParts) {
    this.run = parts.run;
    this.lease = { runId: parts.run.id, epoch: parts.run.epoch };
    this.code = parts.code;
    this.history = parts.history;
    this.store = parts.store;
    this.traced = parts.span.isRecording();
    this.beginChild = parts.beginChild;
    this.#hold = new Hold(parts.heldUntil);
    this.received = parts.history?.eventIds() ?? [];
    this.children = new Set(parts.history?.openChildren());
    if (parts.history?.failing) this.#over = "failed";
    const onBroken = (error: Error) => this.stop(error, true);
    this.#journal = new JournalWriter({
      store: parts.store,
      lease: this.lease,
      seq: parts.seq,
      onRow: parts.onRow,
      onBroken,
    });
    this.#signals = parts.run.signals;
    this.givenUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  /** How many acts from outside were looked at. */
  get signals(): number {
    return this.#signals;
  }

  /** True when something was done from outside that this drive has not looked at. */
  isBehind(signals: number): boolean {
    return this.#signals !== signals;
  }

  get stopped(): Error | undefined {
    return this.#stopped;
  }

  /** Aborts when the run is canceled or lost. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#hard) this.#abort.abort(reasonOf(this.#stopped!));
    }
    return this.#abort.signal;
  }

  /** Throws when no further node is to begin here. */
  checkStopped(group: Group | undefined): void {
    if (this.#stopped) throw this.#stopped;
    if (group?.abandoned || this.#over === "failed") throw new Abandoned();
  }

  /** `hard`: steps in flight are left alone; else they finish. The first reason stays, but a hard one goes before a soft. */
  stop(reason: Error, hard: boolean): void {
    if (this.#stopped && (this.#hard || !hard)) return;
    if (this.#over === "undoing" && reason instanceof Canceled) return;
    this.#stopped = reason;
    this.#hard = hard;
    if (hard) {
      this.#abort?.abort(reasonOf(reason));
      for (const leave of [...this.#inFlight]) leave(reason);
      this.#hold.end(reason);
    }
    for (const waiter of [...this.#waiters]) waiter.settle(reason);
  }

  /** Comes before whatever has an effect; undefined: at once. Waits while another worker may have the run. */
  held(): Promise<void> | undefined {
    const pending = this.#hold.wait();
    if (pending && this.#hard) throw this.#stopped;
    return pending;
  }

  /** The lease ends no earlier than at `until`, by `performance.now()`. */
  prolong(until: number): void {
    this.#hold.prolong(until);
  }

  /** Has every node that is not finished refuse to begin: the run is to fail. */
  refuse(): void {
    this.#over = "failed";
  }

  /** Does what the holder is asked to do. */
  take({ kind, reason }: ActRequest): void {
    if (kind === "cancel") this.stop(new Canceled(reason), true);
    else this.stop(new Stopped("paused"), false);
  }

  /** Lets a run that has failed or was canceled go on with undoing its steps. */
  beginUndoing(): void {
    this.#over = "undoing";
    if (!(this.#stopped instanceof Canceled)) return;
    this.#stopped = undefined;
    this.#hard = false;
    this.#abort = undefined;
  }

  /** Waits for a step in flight, until the run is stopped hard. */
  inFlight<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const leave = (reason: Error) => {
        this.#inFlight.delete(leave);
        reject(reason);
      };
      this.#inFlight.add(leave);
      work.then(
        (value) => {
          this.#inFlight.delete(leave);
          resolve(value);
        },
        (error) => {
          this.#inFlight.delete(leave);
          reject(error);
        },
      );
    });
  }

  /** Writes a row and gives its number, at once when it is written already. */
  append(row: Omit<Row, "seq">): number | Promise<number> {
    return this.#journal.append(row);
  }

  /** A change whose rows are written only if it is. With `ifSignals` it may be refused; then nothing is numbered. */
  change(rows: readonly Omit<Row, "seq">[], change: Omit<Change, "rows">): Promise<"done" | "signaled"> {
    return this.#journal.change(rows, change);
  }

  /** Looks at what was done from outside, and has every wait checked again. Once more for what came meanwhile. */
  look(): Promise<void> {
    if (this.#looking) {
      this.#lookAgain = true;
      return this.#looking;
    }
    this.#looking = (async () => {
      do {
        this.#lookAgain = false;
        await this.#lookOnce();
      } while (this.#lookAgain);
    })().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const standing = await this.store.standing(this.run.id);
    if (!standing) return;
    this.#signals = standing.signals;
    if (standing.request) this.take(standing.request);
    if (!this.#givingUp) for (const waiter of [...this.#waiters]) waiter.settle();
  }

  /**
   * Waits until `check` gives a value, or until `until` (by the store's clock). `check` is asked at first and after every
   * act from outside; `signals` is how many of them it had seen.
   */
  async waitUntil<T>(
    wait: Wait,
    until: Date | undefined,
    group: Group | undefined,
    check: () => Promise<T | undefined>,
  ): Promise<{ value: T } | { value: undefined; signals: number }> {
    for (;;) {
      this.checkStopped(group);
      const signals = this.#signals;
      const value = await check();
      if (value !== undefined) return { value };
      this.checkStopped(group);
      // Something was done while the check was under way, which it may not have seen.
      if (this.#signals !== signals) continue;
      const leftMs = until === undefined ? longestTimerMs : until.getTime() - this.store.now().getTime();
      if (leftMs <= 0) return { value: undefined, signals };
      await this.#wait(wait, until, group, leftMs);
    }
  }

  /** Waits until `wakeAt`, by the store's clock. */
  async waitForTimer(node: string, wakeAt: Date, group: Group | undefined): Promise<void> {
    await this.waitUntil({ kind: "timer", node, wakeAt }, wakeAt, group, async () => undefined);
  }

  /** True when a wait until then is one that the run is given up for, if it has nothing else to do. */
  isLong(until: Date): boolean {
    return until.getTime() - this.store.now().getTime() >= shortMs;
  }

  /** Waits without giving the run up, until it is stopped. */
  async sleep(ms: number, group: Group | undefined): Promise<void> {
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      this.checkStopped(group);
      await this.#stay(left, group);
    }
  }

  #stay(ms: number, group: Group | undefined): Promise<void> {
    return this.#wait({ kind: "timer", node: "", wakeAt: new Date(0) }, undefined, group, ms, true);
  }

  #wait(wait: Wait, until: Date | undefined, group: Group | undefined, leftMs: number, stay = false): Promise<void> {
    const short = stay || leftMs < shortMs;
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        wait,
        until,
        group,
        settle: (error) => {
          if (!this.#waiters.delete(waiter)) return;
          clearTimeout(timer);
          if (!short) this.#busy++;
          if (error) reject(error);
          else resolve();
        },
      };
      // A millisecond more: timers may be early, and the store's clock decides.
      const timer = setTimeout(() => !this.#givingUp && waiter.settle(), Math.min(leftMs + 1, longestTimerMs));
      if (!short) timer.unref();
      this.#waiters.add(waiter);
      if (!short) this.#release();
    });
  }

  /** Splits the branch into `count`; each calls what this returns when it has ended. */
  fork(count: number): () => void {
    this.#busy += count - 1;
    let left = count;
    return () => {
      if (--left > 0) this.#release();
    };
  }

  /** Ends the waits of a group that failed. */
  abandon(group: Group): void {
    group.failed = true;
    for (const waiter of [...this.#waiters]) if (waiter.group?.abandoned) waiter.settle(new Abandoned());
  }

  #release(): void {
    this.#busy--;
    if (!this.#onlyWaits()) return;
    this.#idleSince = performance.now();
    this.#linger();
  }

  #onlyWaits(): boolean {
    return this.#busy === 0 && this.#waiters.size > 0 && !this.#stopped && !this.#givingUp;
  }

  #linger(): void {
    if (this.#lingering) return;
    const lingerMs = this.#journal.seq < lingerRows ? 0 : this.#journal.seq * lingerMsPerRow;
    const leftMs = this.#idleSince + lingerMs - performance.now();
    if (leftMs <= 0) return void this.#tryToGiveUp();
    this.#lingering = setTimeout(() => {
      this.#lingering = undefined;
      if (this.#onlyWaits()) this.#linger();
    }, leftMs + 1).unref();
  }

  async #tryToGiveUp(): Promise<void> {
    this.#givingUp = true;
    try {
      while (this.#busy === 0 && !this.#stopped) {
        const waiters = [...this.#waiters];
        const waits = waiters.map(({ wait }) => wait).sort((a, b) => (a.node < b.node ? -1 : 1));
        const times = waiters.flatMap(({ until }) => (until ? [until.getTime()] : []));
        const dueAt = times.length === 0 ? null : new Date(Math.min(...times));
        const outcome = await this.change([{ type: "run.waiting", node: null, data: { waits } }], {
          state: "waiting",
          dueAt,
          waits,
          ifSignals: this.#signals,
        });
        if (outcome === "done") {
          this.dueAt = dueAt;
          this.#giveUp();
          return;
        }
        this.#givingUp = false;
        await this.look();
        this.#givingUp = true;
      }
    } catch {
      // The write failed: the run was stopped with that error, and its waits with it.
    }
    this.#givingUp = false;
    // What was to end while the change was on its way.
    const stopped = this.#stopped;
    for (const waiter of [...this.#waiters]) waiter.settle(stopped);
  }

  /**
   * Ends a node's wait in one transaction with its row. False when more was done from outside than `ifSignals`, and it
   * has to be looked at again.
   */
  async endWait(row: Omit<Row, "seq">, ifSignals?: number): Promise<boolean> {
    const change = { closed: [row.node!], ...(ifSignals === undefined ? {} : { ifSignals }) };
    if ((await this.change([row], change)) === "done") return true;
    await this.look();
    return false;
  }

  async openWait(wait: OpenWait): Promise<void> {
    await this.store.openWait(this.lease, wait);
  }

  /** A node that failed for good; its row makes it fail the same way whoever carries the run on. */
  async failNode(path: string, error: TsdevError): Promise<never> {
    await this.append({ type: "step.failed", node: path, data: { error: error.toJSON() } });
    throw new RunFailure(error);
  }
}
