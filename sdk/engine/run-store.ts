// Run store: the port behind the engine. Invariants that every adapter keeps (`run-store.contract.ts` tests them):
// 1. What happened in a run is a journal: rows numbered from 1 without a gap, never changed, read back as written.
// 2. Only the holder of a run's newest epoch writes to it; anyone else gets LeaseLost and has written nothing.
// 3. Rows of one run are committed in the order of their numbers, so a reader never sees a number before a lower one.
// 4. A run is claimed by one claimer, and only when it is due: queued, woken, or its holder's lease has expired.
// 5. What is done from outside (`act`, `publish`, `wake`) is never lost: it raises `signals`, and a holder whose count
//    is behind can neither give the run up nor end a wait by its time limit.
import type { ErrorShape } from "../errors.ts";
import type { WorkflowIr } from "../ir/ir.ts";
import type { Principal } from "../procedures/procedure.ts";
import type { RunFilter, RunOrigin, RunState, Wait } from "./engine.ts";
import type { RunEvent } from "./run-event.ts";

/** What is known when a run begins. */
export interface NewRun {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  /** The run keeps it, whatever later deploys change. */
  readonly ir: WorkflowIr;
  /** As the caller gave it. */
  readonly input: unknown;
  /** The input after its contract: the scope at the start. */
  readonly scope: Readonly<Record<string, unknown>>;
  readonly inputDigest: string;
  /** W3C trace parent of the run's span, so that whoever carries it on stays in the trace. */
  readonly traceparent: string | null;
  readonly origin: RunOrigin;
  readonly principal: Principal | null;
  /** Runs with one key share the slots of the workflow's concurrency limit; null: there is no limit. */
  readonly slotKey: string | null;
  /** The run that waits for this one's end. */
  readonly parent: string | null;
}

export interface StoredRun extends NewRun {
  readonly state: RunState;
  /** Grows by one whenever another takes the lease. */
  readonly epoch: number;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
  readonly waits: readonly Wait[];
  readonly request: ActRequest | null;
  /** How often something was done to the run from outside. */
  readonly signals: number;
  /** Events up to this number were published before the run began. */
  readonly eventFloor: number;
  readonly output?: unknown;
  readonly error?: ErrorShape;
}

/** What the holder of a run is asked to do. */
export interface ActRequest {
  readonly kind: "cancel" | "pause";
  readonly reason: string;
}

export interface ClaimedRun extends StoredRun {
  /** Of the newest row. */
  readonly seq: number;
}

/** A value as it is stored; read when it is needed. */
export interface Stored {
  read(): unknown;
}

export type RowType = RunEvent["type"];

/** One row to be written. `data` is the event's own fields, as JSON. */
export interface Row {
  readonly seq: number;
  readonly type: RowType;
  readonly node: string | null;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  /** What a later replay needs: an output, a payload, the items of a list. Only where it is a key of the row. */
  readonly output?: unknown;
}

/** One row that was read for a replay. */
export interface HistoryRow {
  readonly seq: number;
  readonly type: RowType;
  readonly node: string | null;
  /** Empty for a finished step. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly output: Stored | undefined;
}

export interface Lease {
  readonly runId: string;
  readonly epoch: number;
}

/** A wait that others look for: events by name, approvals by run and node, runs by id. */
export type OpenWait = Exclude<Wait, { kind: "timer" }>;

/** A change of a run by its holder, in one transaction with its rows. */
export interface Change {
  readonly rows: readonly Row[];
  /** Only when nothing was done from outside since the holder counted so many signals; else the change is `signaled`. */
  readonly ifSignals?: number;
  /** The state after it; the lease is given up. Absent: the holder goes on. */
  readonly state?: Exclude<RunState, "running">;
  /** When it is due again, for `waiting` and `queued`; null: when something happens. */
  readonly dueAt?: Date | null;
  readonly waits?: readonly Wait[];
  readonly output?: unknown;
  readonly error?: ErrorShape;
  /** Nodes whose open wait is over. An end closes all of them. */
  readonly closed?: readonly string[];
}

export interface Answer {
  readonly approved: boolean;
  readonly by: string;
  readonly comment?: string;
  readonly at: Date;
}

/** What an act from outside sees: the run's row is locked meanwhile. */
export interface ActView {
  readonly run: StoredRun;
  readonly seq: number;
  /** True when a worker has the lease. */
  readonly held: boolean;
  readonly openWaits: readonly OpenWait[];
  readonly answers: ReadonlyMap<string, Answer>;
}

/** What an act does. It grows the epoch where it writes rows, and always raises `signals`. */
export interface Act {
  readonly rows?: readonly Omit<Row, "seq">[];
  readonly state?: RunState;
  /** True: a worker is to look at the run now. */
  readonly due?: boolean;
  /** Null takes a request back. */
  readonly request?: ActRequest | null;
  readonly error?: ErrorShape;
  readonly answer?: { readonly node: string; readonly answer: Omit<Answer, "at"> };
}

export interface PublishedEvent {
  readonly seq: number;
  readonly id: string;
  readonly name: string;
  readonly key: string | null;
  readonly payload: unknown;
}

/** What a holder learns when it renews its leases. */
export type Standing = Pick<StoredRun, "signals" | "request">;

export interface DueRun {
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
}

/** `due`: some run wants a worker. `run`: something was done to the run. `event`: an event waits for its triggers. */
export type Notice = { readonly kind: "due" | "event" } | { readonly kind: "run"; readonly runId: string };

/** Unfinished runs of a workflow in a state; `due`: those that a worker should have taken by now. */
export interface RunDepth {
  readonly workflow: string;
  readonly state: "queued" | "running" | "waiting";
  readonly runs: number;
  readonly due: number;
}

export interface BeginOptions {
  readonly take: boolean;
  readonly delayMs: number;
  /** Of the caller, for a child: what was published since its caller began is for it too. */
  readonly eventFloor?: number;
}

export interface RunStore {
  readonly durable: boolean;
  /**
   * Begins the run, and takes its lease where `take` is true and it needs no slot; else it is queued, due after
   * `delayMs`. `taken` is false when it was not taken, or when the id is there already and not ours.
   */
  begin(run: NewRun, options: BeginOptions): Promise<{ run: StoredRun; taken: boolean }>;
  find(runId: string): Promise<StoredRun | undefined>;
  /** Newest first. */
  list(filter: RunFilter): Promise<StoredRun[]>;
  /** Unfinished runs of the workflow that are queued. */
  queued(workflow: string): Promise<number>;
  /** By workflow and state; paused runs are not counted. */
  depths(): Promise<RunDepth[]>;
  /** Every row of these runs, by run, in order. Outputs only where they are asked for. */
  history(runIds: readonly string[], outputs: boolean): Promise<Map<string, HistoryRow[]>>;
  /** The rows after `after` as events, at most `limit`. */
  events(runId: string, after: number, limit: number): Promise<RunEvent[]>;

  /** Appends a row; many of them share one transaction. */
  append(lease: Lease, row: Row): void | Promise<void>;
  change(lease: Lease, change: Change): Promise<"done" | "signaled">;

  /** Runs of these workflows that are due, without those runs and without those `workflow@version`s. */
  due(workflows: readonly string[], except: Except, limit: number): Promise<DueRun[]>;
  /**
   * Takes those of them that are still due (and get a slot, where they need one). A run that a dead worker held gets a
   * row `run.resumed` with `died: true`, a queued one `run.started` or `run.resumed`.
   */
  claim(runIds: readonly string[]): Promise<ClaimedRun[]>;
  /** Prolongs leases; the ids that are still held, and how they stand. */
  renew(leases: readonly Lease[]): Promise<Map<string, Standing>>;
  /** Gives unfinished runs to whoever claims them next. */
  release(leases: readonly Lease[]): Promise<void>;

  /** Something done from outside, undefined: nothing is to be done. Undefined when there is no such run. */
  act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T | undefined>;
  standing(runId: string): Promise<Standing | undefined>;
  answer(runId: string, node: string): Promise<Answer | undefined>;
  openWait(lease: Lease, wait: OpenWait): Promise<void>;
  /** Raises the signals of a run, and makes it due if it waits. */
  wake(runIds: readonly string[]): Promise<void>;
  /** Wakes runs that wait for a run which has ended: what a crash between the two left undone. */
  mend(): Promise<void>;

  /** False when an event with this id is there already. */
  publish(event: Omit<PublishedEvent, "seq">): Promise<boolean>;
  /** Wakes the runs that wait for such an event. */
  wakeFor(event: Pick<PublishedEvent, "name" | "key">): Promise<void>;
  /** The first such event after `after`, without those ids. A key of null is any. */
  findEvent(
    event: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): Promise<PublishedEvent | undefined>;
  undispatched(names: readonly string[], limit: number): Promise<PublishedEvent[]>;
  dispatched(ids: readonly string[]): Promise<void>;

  cursor(name: string): Promise<string | null>;
  moveCursor(name: string, from: string | null, to: string): Promise<boolean>;
  /** The store's clock, as last asked and carried on by monotonic time: a worker's own clock may jump. */
  now(): Date;
  /** The same, asked now. */
  askNow(): Promise<Date>;
  /** Calls back for everything that others did, as far as the store can tell at once; polling is for the rest. */
  listen(onNotice: (notice: Notice) => void): void;
  /** Deletes some of what ended so many days ago, and of the events of more than 7 days ago; false when none is left. */
  prune(retainDays: number): Promise<boolean>;
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface Except {
  readonly runIds: readonly string[];
  /** `workflow@version`. */
  readonly versions: readonly string[];
}

/** How many days published events are kept. */
export const eventRetainDays = 7;

/** Another worker has taken the run over: this one stops without a word. */
export class LeaseLost extends Error {
  constructor(runId: string) {
    super(`the lease of run ${runId} was taken over`);
    this.name = "LeaseLost";
  }
}

/** The run's row type at its end. */
export const endTypes: ReadonlySet<string> = new Set(["run.done", "run.failed", "run.canceled"]);

/** Whether a published event is what a wait is for: a key is compared only where both sides have one. */
export function fitsWait(
  event: Pick<PublishedEvent, "name" | "key">,
  wait: { event: string; key?: string | undefined },
): boolean {
  return event.name === wait.event && (event.key === null || wait.key === undefined || event.key === wait.key);
}
