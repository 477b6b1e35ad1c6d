// Memory store: runs that live as long as the process, for scripts and unit tests.
import { endStates, type RunFilter } from "./engine.ts";
import { type Entry, startOf, toEvent, toHistoryRow, viewOf, writeRows } from "./memory-entry.ts";
import { MemoryEvents } from "./memory-events.ts";
import { MemorySlots } from "./memory-slots.ts";
import type { RunEvent } from "./run-event.ts";
import {
  type Act,
  type ActView,
  type Answer,
  type BeginOptions,
  type Change,
  type ClaimedRun,
  type DueRun,
  type Except,
  eventRetainDays,
  fitsWait,
  type HistoryRow,
  type Lease,
  LeaseLost,
  type NewRun,
  type Notice,
  type OpenWait,
  type PublishedEvent,
  type Row,
  type RunDepth,
  type RunStore,
  type Standing,
  type StoredRun,
} from "./run-store.ts";

/** Finished runs that are kept for `engine.run(id)`; the oldest are forgotten first. */
const keptFinished = 1_000;
const dayMs = 86_400_000;

export class MemoryStore implements RunStore {
  readonly durable = false;
  readonly #leaseMs: number;
  /** In the order in which they began. */
  readonly #entries = new Map<string, Entry>();
  readonly #finished: string[] = [];
  readonly #slots = new MemorySlots(this.#entries);
  readonly #events = new MemoryEvents();
  readonly #cursors = new Map<string, string>();
  readonly #listeners: ((notice: Notice) => void)[] = [];
  readonly #began = Date.now() - performance.now();

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  async begin(
    run: NewRun,
    { take, delayMs, eventFloor = this.#events.newest }: BeginOptions,
  ): Promise<{ run: StoredRun; taken: boolean }> {
    const known = this.#entries.get(run.id);
    if (known) return { run: viewOf(known), taken: false };
    const taken = take && delayMs === 0 && run.slotKey === null;
    const entry: Entry = {
      run: {
        ...run,
        state: taken ? "running" : "queued",
        epoch: 1,
        startedAt: this.now(),
        finishedAt: null,
        waits: [],
        request: null,
        signals: 0,
        eventFloor,
      },
      rows: [],
      dueAt: performance.now() + (taken ? this.#leaseMs : delayMs),
      hasSlot: false,
      request: null,
      waits: new Map(),
      answers: new Map(),
    };
    this.#entries.set(run.id, entry);
    this.#write(entry, [{ seq: 1, type: taken ? "run.started" : "run.queued", node: null, data: startOf(run) }]);
    if (!taken) this.#tell({ kind: "due" });
    return { run: entry.run, taken };
  }

  async find(runId: string): Promise<StoredRun | undefined> {
    const entry = this.#entries.get(runId);
    return entry && viewOf(entry);
  }

  async list({ workflow, state, originName, startedBy, limit = 50, before }: RunFilter): Promise<StoredRun[]> {
    const found: StoredRun[] = [];
    let past = before === undefined;
    for (const entry of [...this.#entries.values()].reverse()) {
      const { run } = entry;
      const fits =
        (workflow === undefined || run.workflow === workflow) &&
        (state === undefined || run.state === state) &&
        (originName === undefined || run.origin.name === originName) &&
        (startedBy === undefined || run.principal?.id === startedBy);
      if (past && fits) found.push(viewOf(entry));
      if (run.id === before) past = true;
      if (found.length >= limit) break;
    }
    return found;
  }

  async queued(workflow: string): Promise<number> {
    let count = 0;
    for (const { run } of this.#entries.values()) if (run.state === "queued" && run.workflow === workflow) count++;
    return count;
  }

  async depths(): Promise<RunDepth[]> {
    const depths = new Map<string, { -readonly [K in keyof RunDepth]: RunDepth[K] }>();
    const now = performance.now();
    for (const { run, dueAt } of this.#entries.values()) {
      const { workflow, state } = run;
      if (state !== "queued" && state !== "running" && state !== "waiting") continue;
      const key = `${state} ${workflow}`;
      const depth = depths.get(key) ?? { workflow, state, runs: 0, due: 0 };
      depths.set(key, depth);
      depth.runs += 1;
      if (dueAt !== null && dueAt <= now) depth.due += 1;
    }
    return [...depths.values()];
  }

  async history(runIds: readonly string[]): Promise<Map<string, HistoryRow[]>> {
    return new Map(runIds.map((id) => [id, (this.#entries.get(id)?.rows ?? []).map(toHistoryRow)]));
  }

  async events(runId: string, after: number, limit: number): Promise<RunEvent[]> {
    const rows = this.#entries.get(runId)?.rows ?? [];
    return rows.slice(after, after + limit).map((row) => toEvent(runId, row));
  }

  append(lease: Lease, row: Row): void {
    this.#write(this.#held(lease), [row]);
  }

  async change(lease: Lease, change: Change): Promise<"done" | "signaled"> {
    const entry = this.#held(lease);
    if (change.ifSignals !== undefined && change.ifSignals !== entry.run.signals) return "signaled";
    this.#write(entry, change.rows);
    for (const node of change.closed ?? []) {
      entry.waits.delete(node);
      entry.answers.delete(node);
    }
    const { state } = change;
    if (state === undefined) return "done";
    entry.run = {
      ...entry.run,
      state,
      waits: change.waits ?? [],
      ...("output" in change ? { output: change.output } : {}),
      ...(change.error ? { error: change.error } : {}),
    };
    entry.dueAt = change.dueAt ? change.dueAt.getTime() - this.#began : null;
    if (state !== "waiting" && state !== "queued") entry.request = null;
    if (endStates.has(state)) this.#end(entry);
    return "done";
  }

  async due(workflows: readonly string[], except: Except, limit: number): Promise<DueRun[]> {
    const due: DueRun[] = [];
    for (const { run, dueAt } of this.#entries.values()) {
      if (due.length >= limit) break;
      if (dueAt === null || dueAt > performance.now() || !workflows.includes(run.workflow)) continue;
      if (except.runIds.includes(run.id) || except.versions.includes(`${run.workflow}@${run.version}`)) continue;
      due.push({ id: run.id, workflow: run.workflow, version: run.version });
    }
    return due;
  }

  async claim(runIds: readonly string[]): Promise<ClaimedRun[]> {
    const claimed: ClaimedRun[] = [];
    for (const id of runIds) {
      const entry = this.#entries.get(id);
      if (!entry || entry.dueAt === null || entry.dueAt > performance.now()) continue;
      const was = entry.run.state;
      if (was !== "queued" && was !== "running" && was !== "waiting") continue;
      if (was === "queued" && !this.#slots.take(entry)) continue;
      entry.run = { ...entry.run, state: "running", epoch: entry.run.epoch + 1, waits: [] };
      entry.dueAt = performance.now() + this.#leaseMs;
      const seq = entry.rows.length;
      const first = seq === 1 && was === "queued";
      if (first) this.#write(entry, [{ seq: seq + 1, type: "run.started", node: null, data: startOf(entry.run) }]);
      else if (was !== "waiting") {
        const data = was === "running" ? { died: true } : undefined;
        this.#write(entry, [{ seq: seq + 1, type: "run.resumed", node: null, data }]);
      }
      claimed.push({ ...viewOf(entry), seq: entry.rows.length });
    }
    return claimed;
  }

  async renew(leases: readonly Lease[]): Promise<Map<string, Standing>> {
    const held = new Map<string, Standing>();
    for (const { runId, epoch } of leases) {
      const entry = this.#entries.get(runId);
      if (entry?.run.state !== "running" || entry.run.epoch !== epoch) continue;
      entry.dueAt = performance.now() + this.#leaseMs;
      held.set(runId, { signals: entry.run.signals, request: entry.request });
    }
    return held;
  }

  async release(leases: readonly Lease[]): Promise<void> {
    for (const { runId, epoch } of leases) {
      const entry = this.#entries.get(runId);
      if (entry?.run.state !== "running" || entry.run.epoch !== epoch) continue;
      entry.run = { ...entry.run, state: "queued" };
      entry.dueAt = performance.now();
    }
    this.#tell({ kind: "due" });
  }

  async act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T | undefined> {
    const entry = this.#entries.get(runId);
    if (!entry) return undefined;
    const held = entry.run.state === "running" && (entry.dueAt ?? 0) > performance.now();
    const { act, result } = decide({
      run: viewOf(entry),
      seq: entry.rows.length,
      held,
      openWaits: [...entry.waits.values()],
      answers: entry.answers,
    });
    if (!act) return result;
    if (act.rows) {
      entry.run = { ...entry.run, epoch: entry.run.epoch + 1 };
      this.#write(
        entry,
        act.rows.map((row, index) => ({ ...row, seq: entry.rows.length + 1 + index })),
      );
    }
    if (act.answer) entry.answers.set(act.answer.node, { ...act.answer.answer, at: this.now() });
    const wasEnded = endStates.has(entry.run.state);
    const state = act.state ?? entry.run.state;
    const { error: _error, ...run } = entry.run;
    const error = act.error ?? entry.run.error;
    const ended = endStates.has(state);
    entry.run = { ...run, state, signals: run.signals + 1, ...(ended && error ? { error } : {}) };
    if (act.request !== undefined) entry.request = act.request;
    if (act.due) entry.dueAt = performance.now();
    else if (ended || state === "paused") entry.dueAt = null;
    if (ended) this.#end(entry);
    else if (wasEnded) {
      entry.run = { ...entry.run, finishedAt: null };
      const place = this.#finished.indexOf(runId);
      if (place >= 0) this.#finished.splice(place, 1);
    }
    this.#tell({ kind: "run", runId });
    if (act.due) this.#tell({ kind: "due" });
    return result;
  }

  async standing(runId: string): Promise<Standing | undefined> {
    const entry = this.#entries.get(runId);
    return entry && { signals: entry.run.signals, request: entry.request };
  }

  async answer(runId: string, node: string): Promise<Answer | undefined> {
    return this.#entries.get(runId)?.answers.get(node);
  }

  async openWait({ runId, epoch }: Lease, wait: OpenWait): Promise<void> {
    const entry = this.#entries.get(runId);
    if (entry?.run.epoch !== epoch) throw new LeaseLost(runId);
    entry.waits.set(wait.node, wait);
  }

  async wake(runIds: readonly string[]): Promise<void> {
    for (const runId of runIds) {
      const entry = this.#entries.get(runId);
      if (!entry) continue;
      entry.run = { ...entry.run, signals: entry.run.signals + 1 };
      if (entry.run.state === "waiting") entry.dueAt = performance.now();
      this.#tell({ kind: "run", runId });
    }
    this.#tell({ kind: "due" });
  }

  async mend(): Promise<void> {}

  async publish(event: Omit<PublishedEvent, "seq">): Promise<boolean> {
    if (!this.#events.publish(event)) return false;
    this.#tell({ kind: "event" });
    return true;
  }

  async wakeFor(event: Pick<PublishedEvent, "name" | "key">): Promise<void> {
    const waiting = (wait: OpenWait) => wait.kind === "event" && fitsWait(event, wait);
    const runs = [...this.#entries.values()].filter(({ waits }) => [...waits.values()].some(waiting));
    await this.wake(runs.map(({ run }) => run.id));
  }

  async findEvent(
    event: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): Promise<PublishedEvent | undefined> {
    return this.#events.find(event, after, except);
  }

  async undispatched(names: readonly string[], limit: number): Promise<PublishedEvent[]> {
    return this.#events.undispatched(names, limit);
  }

  async dispatched(ids: readonly string[]): Promise<void> {
    this.#events.dispatched(ids);
  }

  async cursor(name: string): Promise<string | null> {
    return this.#cursors.get(name) ?? null;
  }

  async moveCursor(name: string, from: string | null, to: string): Promise<boolean> {
    if ((this.#cursors.get(name) ?? null) !== from) return false;
    this.#cursors.set(name, to);
    return true;
  }

  now(): Date {
    return new Date(this.#began + performance.now());
  }

  async askNow(): Promise<Date> {
    return this.now();
  }

  listen(onNotice: (notice: Notice) => void): void {
    this.#listeners.push(onNotice);
  }

  async prune(retainDays: number): Promise<boolean> {
    const end = this.now().getTime() - retainDays * dayMs;
    for (const { run } of [...this.#entries.values()]) {
      if (run.finishedAt && run.finishedAt.getTime() < end) this.#entries.delete(run.id);
    }
    this.#events.prune(eventRetainDays * dayMs);
    return false;
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.#entries.clear();
  }

  #held({ runId, epoch }: Lease): Entry {
    const entry = this.#entries.get(runId);
    if (entry?.run.state !== "running" || entry.run.epoch !== epoch) throw new LeaseLost(runId);
    return entry;
  }

  #write(entry: Entry, added: readonly Row[]): void {
    writeRows(entry, added, this.#began + performance.now());
  }

  #end(entry: Entry): void {
    entry.run = { ...entry.run, finishedAt: this.now() };
    entry.dueAt = null;
    entry.waits.clear();
    entry.answers.clear();
    const { slotKey, id } = entry.run;
    if (slotKey !== null) {
      entry.hasSlot = false;
      if (this.#slots.free(slotKey)) this.#tell({ kind: "due" });
    }
    this.#finished.push(id);
    while (this.#finished.length > keptFinished) this.#entries.delete(this.#finished.shift()!);
  }

  #tell(notice: Notice): void {
    for (const listener of this.#listeners) queueMicrotask(() => listener(notice));
  }
}
