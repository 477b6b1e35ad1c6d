// Postgres store: runs, their journal, waits and events as rows; every write of a holder is fenced by its lease's epoch.
import { randomUUID } from "node:crypto";
import type { RunFilter } from "../engine.ts";
import type { RunEvent } from "../run-event.ts";
import {
  type Act,
  type ActView,
  type Answer,
  type BeginOptions,
  type Change,
  type ClaimedRun,
  type DueRun,
  type Except,
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
} from "../run-store.ts";
import { actOnRun } from "./act-on-run.ts";
import { type Beginning, type Begun, beginRuns } from "./begin-runs.ts";
import { type Changing, changeRuns } from "./change-runs.ts";
import { Connection } from "./connection.ts";
import { Cursors } from "./cursors.ts";
import { readDepths } from "./depths.ts";
import { GroupCommit } from "./group-commit.ts";
import { type Append, appendRows, readEvents, readHistory } from "./journal.ts";
import { Leases } from "./leases.ts";
import { Notices } from "./notices.ts";
import { PublishedEvents } from "./published-events.ts";
import { prune } from "./retention.ts";
import { findRow, type RunRow, type StandingRow, toRun, toStanding } from "./run-row.ts";
import { migrate } from "./schema.ts";
import { Slots } from "./slots.ts";
import { Waits } from "./waits.ts";

export class PostgresStore implements RunStore {
  readonly durable = true;
  readonly #db: Connection;
  readonly #slots: Slots;
  readonly #notices: Notices;
  readonly #leases: Leases;
  readonly #waits: Waits;
  readonly #events: PublishedEvents;
  readonly #cursors: Cursors;
  readonly #leaseMs: number;
  /** Of this store alone: a second one in the same process is another worker. */
  readonly #owner = randomUUID();
  readonly #append: (item: Append) => Promise<undefined>;
  readonly #change: (item: Changing) => Promise<"done" | "signaled">;
  readonly #begin: (item: Beginning) => Promise<Begun>;

  private constructor(db: Connection, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
    this.#slots = new Slots(db);
    this.#notices = new Notices(db);
    this.#leases = new Leases({ db, slots: this.#slots, notices: this.#notices, owner: this.#owner, leaseMs });
    this.#waits = new Waits(db, this.#notices);
    this.#events = new PublishedEvents(db, this.#notices);
    this.#cursors = new Cursors(db);
    const commits = new GroupCommit();
    this.#append = commits.lane<Append, undefined>({
      write: (items) => appendRows(db, items),
      keyOf: ({ lease }) => lease.runId,
      oncePerKey: false,
    });
    this.#change = commits.lane<Changing, "done" | "signaled">({
      write: (items) => changeRuns(db, this.#slots, this.#notices, items),
      keyOf: ({ lease }) => lease.runId,
      oncePerKey: true,
    });
    this.#begin = commits.lane<Beginning, Begun>({
      write: (items) => beginRuns(db, this.#owner, items),
      keyOf: ({ run }) => run.id,
      oncePerKey: true,
    });
  }

  /** Connects and makes the tables. Throws `unavailable` when the database does not answer in time. */
  static async open(options: { databaseUrl: string; leaseMs: number; connections: number }): Promise<PostgresStore> {
    const db = await Connection.open(options.databaseUrl, options.connections, migrate);
    return new PostgresStore(db, options.leaseMs);
  }

  async begin(run: NewRun, { take, delayMs, eventFloor }: BeginOptions): Promise<{ run: StoredRun; taken: boolean }> {
    const state = take && delayMs === 0 && run.slotKey === null ? "running" : "queued";
    const begun = await this.#begin({ run, state, dueMs: state === "running" ? this.#leaseMs : delayMs, eventFloor });
    if (begun) {
      if (state === "queued") this.#notices.tell("due");
      const fresh = { state, epoch: 1, finishedAt: null, waits: [], request: null, signals: 0 } as const;
      return { run: { ...run, ...fresh, ...begun }, taken: state === "running" };
    }
    const row = await findRow(this.#db, run.id);
    if (!row) throw new LeaseLost(run.id);
    // Ours also when an earlier try was committed and its answer lost.
    return { run: toRun(row), taken: row.owner === this.#owner && row.state === "running" && row.lease_epoch === 1 };
  }

  async find(runId: string): Promise<StoredRun | undefined> {
    const row = await findRow(this.#db, runId);
    return row && toRun(row);
  }

  async list({ workflow, state, originName, startedBy, limit = 50, before }: RunFilter): Promise<StoredRun[]> {
    // A statement of its own, so that its plan can go by the index of starters.
    const own = startedBy === undefined ? "" : "AND principal ->> 'id' = $6";
    const rows = await this.#db.rows<RunRow>(
      startedBy === undefined ? "list" : "list-own",
      `SELECT * FROM tsdev.runs r
        WHERE ($1::text IS NULL OR workflow = $1) AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR origin_name = $3)
          AND ($4::text IS NULL OR (started_at, id) < (SELECT b.started_at, b.id FROM tsdev.runs b WHERE b.id = $4)) ${own}
        ORDER BY started_at DESC, id DESC LIMIT $5`,
      [
        workflow ?? null,
        state ?? null,
        originName ?? null,
        before ?? null,
        limit,
        ...(startedBy === undefined ? [] : [startedBy]),
      ],
    );
    return rows.map(toRun);
  }

  async queued(workflow: string): Promise<number> {
    const [row] = await this.#db.rows<{ count: number }>(
      "queued",
      "SELECT count(*)::int AS count FROM tsdev.runs WHERE workflow = $1 AND state = 'queued'",
      [workflow],
    );
    return row!.count;
  }

  depths(): Promise<RunDepth[]> {
    return readDepths(this.#db);
  }

  history(runIds: readonly string[], outputs: boolean): Promise<Map<string, HistoryRow[]>> {
    return readHistory(this.#db, runIds, outputs);
  }

  events(runId: string, after: number, limit: number): Promise<RunEvent[]> {
    return readEvents(this.#db, runId, after, limit);
  }

  append(lease: Lease, row: Row): Promise<void> {
    return this.#append({ lease, row });
  }

  change(lease: Lease, change: Change): Promise<"done" | "signaled"> {
    return this.#change({ lease, change });
  }

  due(workflows: readonly string[], except: Except, limit: number): Promise<DueRun[]> {
    return this.#leases.due(workflows, except, limit);
  }

  claim(runIds: readonly string[]): Promise<ClaimedRun[]> {
    return this.#leases.claim(runIds);
  }

  renew(leases: readonly Lease[]): Promise<Map<string, Standing>> {
    return this.#leases.renew(leases);
  }

  release(leases: readonly Lease[]): Promise<void> {
    return this.#leases.release(leases);
  }

  act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T | undefined> {
    return actOnRun(this.#db, this.#slots, this.#notices, runId, decide);
  }

  async standing(runId: string): Promise<Standing | undefined> {
    const [row] = await this.#db.rows<StandingRow>(
      "standing",
      "SELECT signals, request, request_reason FROM tsdev.runs WHERE id = $1",
      [runId],
    );
    return row && toStanding(row);
  }

  answer(runId: string, node: string): Promise<Answer | undefined> {
    return this.#waits.answer(runId, node);
  }

  openWait(lease: Lease, wait: OpenWait): Promise<void> {
    return this.#waits.open(lease, wait);
  }

  wake(runIds: readonly string[]): Promise<void> {
    return this.#waits.wake(runIds);
  }

  async mend(): Promise<void> {
    await this.#waits.wakeForEnded();
    await this.#slots.mend();
  }

  publish(event: Omit<PublishedEvent, "seq">): Promise<boolean> {
    return this.#events.publish(event);
  }

  wakeFor(event: Pick<PublishedEvent, "name" | "key">): Promise<void> {
    return this.#waits.wakeFor(event);
  }

  findEvent(
    event: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): Promise<PublishedEvent | undefined> {
    return this.#events.find(event, after, except);
  }

  undispatched(names: readonly string[], limit: number): Promise<PublishedEvent[]> {
    return this.#events.undispatched(names, limit);
  }

  dispatched(ids: readonly string[]): Promise<void> {
    return this.#events.dispatched(ids);
  }

  cursor(name: string): Promise<string | null> {
    return this.#cursors.get(name);
  }

  moveCursor(name: string, from: string | null, to: string): Promise<boolean> {
    return this.#cursors.move(name, from, to);
  }

  now(): Date {
    return this.#db.now();
  }

  askNow(): Promise<Date> {
    return this.#db.askNow();
  }

  listen(onNotice: (notice: Notice) => void): void {
    this.#notices.listen(onNotice);
  }

  prune(retainDays: number): Promise<boolean> {
    return prune(this.#db, retainDays);
  }

  check(): Promise<void> {
    return this.#db.check();
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
