// TailSampler: keeps spans on disk until it can be decided which traces are stored, and stores those, through any kill.
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TsdevError } from "../../../sdk/errors.ts";
import { knownMs } from "../ingest/request-journal.ts";
import { type Group, notWritten } from "../ingest/spool.ts";
import type { Tenant } from "../ingest/tables.ts";
import { CitedTraces } from "./cited-traces.ts";
import { type Decisions, writeDecisions } from "./decisions-file.ts";
import { keptRows } from "./kept-rows.ts";
import { decisionsPath, leftBehind, windowPath } from "./left-behind.ts";
import { TraceMemory } from "./trace-memory.ts";
import { type Frame, type SampledRequest, WindowFile } from "./window-file.ts";

export interface TailSamplerOptions {
  /** Where the files lie: the same disk as the state, not a file system in memory. */
  directory: string;
  /** Resolves when the rows are stored or safe on disk; the same id stores once. */
  store(group: Group, id: string): Promise<void>;
  /** Whether a request was stored of late, or the group of a window, by `groupRequest`. */
  knows(request: string): boolean;
  /** Also after a loss of power: files are synced before they count. */
  sync?: boolean;
  log?: (message: string) => void;
  /** How long a window takes requests, in milliseconds. */
  windowMs?: number;
  /** How long a decision is remembered for spans that come after it, in milliseconds. */
  rememberMs?: number;
  /** Most traces that are known at once; past it the oldest are decided early, past twice as many none are taken. */
  traceLimit?: number;
  /** Most bytes that may wait on disk for a decision. */
  limitBytes?: number;
}

/** A window takes no more requests when it has so many bytes: it is one insert. */
const windowBytes = 32 * 1024 * 1024;
const longestPauseMs = 15_000;

export interface TailSamplerState {
  /** Windows that wait for their time. */
  windows: number;
  bytes: number;
  /** Traces whose decision is to come, or is remembered. */
  traces: number;
}

interface Window {
  id: string;
  path: string;
  /** By `performance.now()`, which no clock's correction moves. */
  closesAt: number;
  dueAt: number;
  /** Undefined for one that a process before has left. */
  file: WindowFile | undefined;
  adding: Set<Promise<unknown>>;
  sealed: boolean;
  frames: Frame[];
  bytes: number;
  decisions: Decisions | undefined;
}

/** By which a window's group is known among the requests that were stored. */
function groupRequest(id: string): string {
  return `window:${id}`;
}

/**
 * A request is acknowledged when it lies in the window of its second. When the wait is over every trace in the window is
 * decided by all its spans so far, the decisions are put in place, and the kept rows of exactly this window are stored under
 * the window's id. After a kill at any line the next process stores the same rows under the same id.
 */
export class TailSampler {
  readonly #options: Required<TailSamplerOptions>;
  readonly #memory = new TraceMemory();
  readonly #cited = new CitedTraces();
  /** In the order in which they were begun. */
  readonly #windows = new Set<Window>();
  /** That take requests, by their wait. */
  readonly #open = new Map<number, Promise<Window>>();
  readonly #digests = new Set<string>();
  readonly #decided: Array<{ id: string; at: number; decisions: Decisions }> = [];
  readonly #closing = new AbortController();
  readonly #epoch = `w${Date.now().toString(36)}`;
  #number = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;

  private constructor(options: Required<TailSamplerOptions>) {
    this.#options = options;
  }

  /** Opens the directory; what a process before left there waits once more, and is then stored as it would have been. */
  static async open(given: TailSamplerOptions): Promise<TailSampler> {
    const sampler = new TailSampler({
      sync: false,
      log: console.error,
      windowMs: 1_000,
      rememberMs: knownMs,
      traceLimit: 100_000,
      limitBytes: 1024 * 1024 * 1024,
      ...given,
    });
    await mkdir(given.directory, { recursive: true, mode: 0o700 });
    await sampler.#takeOver();
    sampler.#schedule();
    return sampler;
  }

  /** From where the traces come that are kept because somebody refers to them. */
  citedBy(source: (tenant: Tenant) => Promise<Iterable<string>>): void {
    this.#cited.source = source;
  }

  /** Whether the request of this digest waits here. */
  knows(digest: string): boolean {
    return this.#digests.has(digest);
  }

  state(): TailSamplerState {
    return { windows: this.#windows.size, bytes: this.#bytes, traces: this.#memory.size };
  }

  /**
   * Resolves when the spans would outlive this process. Throws `rate_limited` when too much waits and `unavailable` when
   * the disk takes nothing.
   */
  async add(request: SampledRequest, waitMs: number): Promise<void> {
    if (request.ends.length === 0) return;
    this.#admit(request.rows.length);
    let window = await this.#windowFor(waitMs);
    while (window.sealed) window = await this.#windowFor(waitMs);
    const adding = window.file!.append(request);
    window.adding.add(adding);
    this.#bytes += request.rows.length;
    window.bytes += request.rows.length;
    try {
      const frame = await adding;
      this.#memory.learn(frame);
      window.frames.push(frame);
      this.#digests.add(frame.digest);
    } catch (cause) {
      this.#bytes -= request.rows.length;
      window.bytes -= request.rows.length;
      throw notWritten(cause);
    } finally {
      window.adding.delete(adding);
    }
    if (this.#memory.size > this.#options.traceLimit) this.#work();
  }

  /** What waits is for the next process. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await Promise.allSettled(this.#open.values());
    await this.#working;
    for (const window of this.#windows) await window.file?.close();
  }

  #admit(bytes: number): void {
    if (this.#closing.signal.aborted) {
      throw new TsdevError("unavailable", {
        message: "the telemetry store is closing",
        fix: "send it again in a moment",
      });
    }
    const { limitBytes, traceLimit } = this.#options;
    if (this.#bytes === 0 || (this.#bytes + bytes <= limitBytes && this.#memory.size <= 2 * traceLimit)) return;
    throw new TsdevError("rate_limited", {
      message: "more spans wait for the decision of sampling than can be held",
      fix: "send it again in a moment, sample at the sender, or set a shorter sampling.waitSeconds",
    });
  }

  async #windowFor(waitMs: number): Promise<Window> {
    const open = this.#open.get(waitMs);
    if (open) {
      const window = await open;
      const full = window.bytes >= windowBytes || window.file?.failed === true;
      if (!window.sealed && !full && performance.now() < window.closesAt) return window;
    }
    // Another request may have begun the next one meanwhile.
    if (this.#open.get(waitMs) !== open) return this.#windowFor(waitMs);
    const begun = this.#begin(waitMs);
    this.#open.set(waitMs, begun);
    begun.catch(() => this.#open.delete(waitMs));
    return begun;
  }

  async #begin(waitMs: number): Promise<Window> {
    const id = `${this.#epoch}-${String(this.#number++).padStart(9, "0")}`;
    const path = windowPath(this.#options.directory, id, waitMs);
    const file = await WindowFile.create(path, this.#options.sync).catch((cause) => {
      throw notWritten(cause);
    });
    const closesAt = performance.now() + this.#options.windowMs;
    const window = { ...waiting(id, path), closesAt, dueAt: closesAt + waitMs, file };
    this.#windows.add(window);
    this.#schedule();
    return window;
  }

  /** Sees to it that work begins when the next window is due. */
  #schedule(): void {
    if (this.#working || this.#closing.signal.aborted) return;
    clearTimeout(this.#timer);
    const next = Math.min(
      ...[...this.#windows].map(({ dueAt }) => dueAt),
      performance.now() + this.#options.rememberMs,
    );
    this.#timer = setTimeout(() => this.#work(), Math.max(0, next - performance.now()));
    this.#timer.unref();
  }

  #work(): void {
    this.#working ??= this.#emitDue().finally(() => {
      this.#working = undefined;
      this.#schedule();
    });
  }

  async #emitDue(): Promise<void> {
    let pause = 250;
    for (let window = this.#next(); window !== undefined; window = this.#next()) {
      try {
        await this.#emit(window);
        pause = 250;
      } catch (error) {
        this.#options.log(`sampled spans stay on disk and are tried again: ${(error as Error).message}`);
        await delay(pause, undefined, { signal: this.#closing.signal }).catch(() => {});
        pause = Math.min(pause * 2, longestPauseMs);
      }
    }
    await this.#forgetOld();
  }

  /** The one that is due first; while too many traces are known the oldest is due. */
  #next(): Window | undefined {
    if (this.#closing.signal.aborted) return undefined;
    if (this.#memory.size > this.#options.traceLimit) {
      this.#forgetSome();
      const [oldest] = this.#windows;
      if (this.#memory.size > this.#options.traceLimit && oldest !== undefined) return oldest;
    }
    let first: Window | undefined;
    for (const window of this.#windows) if (first === undefined || window.dueAt < first.dueAt) first = window;
    return first !== undefined && first.dueAt <= performance.now() ? first : undefined;
  }

  async #emit(window: Window): Promise<void> {
    await this.#seal(window);
    const { id, frames } = window;
    if (window.decisions === undefined) {
      await this.#cited.refresh(frames.map(({ tenant }) => tenant));
      const decisions = this.#memory.decide(frames, (tenant) => this.#cited.of(tenant), performance.now());
      this.#memory.keep(decisions, id);
      window.decisions = decisions;
    }
    // Rows go out only by decisions that the next process would find.
    await writeDecisions(decisionsPath(this.#options.directory, id), window.decisions).catch((cause) => {
      throw notWritten(cause);
    });
    const requests = [groupRequest(id), ...frames.map(({ digest }) => digest)];
    if (!this.#options.knows(groupRequest(id))) {
      const rows = keptRows(await readFile(window.path), frames, window.decisions);
      try {
        await this.#options.store({ table: "otel_traces", rows: rows.length > 0 ? [rows] : [], requests }, id);
      } catch (error) {
        if (TsdevError.is(error) && (error.code === "rate_limited" || error.code === "unavailable")) throw error;
        await this.#setAside(window, error);
      }
    }
    await rm(window.path, { force: true });
    this.#windows.delete(window);
    this.#bytes -= window.bytes;
    for (const { digest } of frames) this.#digests.delete(digest);
    this.#memory.release(frames);
    // The last one of its wait may still be held as the one that takes requests.
    window.frames = [];
    this.#decided.push({ id, at: Date.now(), decisions: window.decisions });
  }

  /** No request is added to it any more, and all that were are whole. */
  async #seal(window: Window): Promise<void> {
    window.sealed = true;
    while (window.adding.size > 0) await Promise.allSettled(window.adding);
    await window.file?.close();
    window.file = undefined;
  }

  /** Rows that were acknowledged and that the database will never take: kept for a person to look at. */
  async #setAside(window: Window, error: unknown): Promise<void> {
    const refused = join(this.#options.directory, "refused");
    await mkdir(refused, { recursive: true, mode: 0o700 });
    await rename(window.path, join(refused, `${window.id}.window`));
    this.#options.log(`ClickHouse refuses telemetry that is kept in ${refused}: ${(error as Error).message}`);
  }

  async #forgetOld(): Promise<void> {
    while (this.#decided[0] !== undefined && this.#decided[0].at < Date.now() - this.#options.rememberMs) {
      await this.#forgetFirst();
    }
  }

  /** Decisions that were remembered longest go first where there are too many. */
  #forgetSome(): void {
    while (this.#decided.length > 0 && this.#memory.size > this.#options.traceLimit) void this.#forgetFirst();
  }

  #forgetFirst(): Promise<void> {
    const { id, decisions } = this.#decided.shift()!;
    this.#memory.forget(decisions, id);
    return rm(decisionsPath(this.#options.directory, id), { force: true });
  }

  async #takeOver(): Promise<void> {
    const { directory, windowMs, rememberMs } = this.#options;
    const { over, windows } = await leftBehind(directory, rememberMs);
    for (const { id, at, decisions } of over) {
      this.#memory.keep(decisions, id);
      this.#decided.push({ id, at, decisions });
    }
    for (const { id, path, waitMs, decisions, ...left } of windows) {
      // A request that was refused, and came again, may lie in two of them, or have been stored since.
      const frames = left.frames.filter(({ digest }) => !this.#digests.has(digest) && !this.#options.knows(digest));
      const bytes = frames.reduce((sum, { length }) => sum + length, 0);
      for (const frame of frames) {
        this.#digests.add(frame.digest);
        this.#memory.learn(frame);
      }
      if (decisions !== undefined) this.#memory.keep(decisions, id);
      const dueAt = performance.now() + (decisions === undefined ? windowMs + waitMs : 0);
      this.#bytes += bytes;
      this.#windows.add({ ...waiting(id, path), dueAt, frames, bytes, decisions });
    }
  }
}

function waiting(id: string, path: string): Window {
  return {
    id,
    path,
    closesAt: 0,
    dueAt: 0,
    file: undefined,
    adding: new Set(),
    sealed: false,
    frames: [],
    bytes: 0,
    decisions: undefined,
  };
}
