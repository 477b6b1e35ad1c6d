// Postgres store: runs, their journal, waits and events as rows; every write of a holder is fenced by its lease's epoch.
import { randomUUID } from "node:crypto";
import { endStates, type RunFilter, type RunState } from "../engine.ts";
import { eventOf, type RunEvent } from "../run-event.ts";
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
  type HistoryRow,
  type Lease,
  LeaseLost,
  type NewRun,
  type Notice,
  type OpenWait,
  type PublishedEvent,
  type Row,
  type RowType,
  type RunStore,
  type Standing,
  type StoredRun,
} from "../run-store.ts";
import { decode, encode, StoredText } from "./codec.ts";
import { Connection } from "./connection.ts";
import { GroupCommit } from "./group-commit.ts";
import { type RunRow, toRun } from "./run-row.ts";
import { migrate } from "./schema.ts";
import { Slots } from "./slots.ts";
import * as sql from "./statements.ts";

interface Append {
  lease: Lease;
  row: Row;
}

interface Changing {
  lease: Lease;
  change: Change;
}

interface Beginning {
  run: NewRun;
  state: "running" | "queued";
  dueMs: number;
  eventFloor: number | undefined;
}

/** How long a new run's statement is tried again, milliseconds: its caller waits and can ask again. */
const beginPatienceMs = 5_000;
const channel = "tsdev";
const pruneBatch = 500;
/** Whether there is an output, for who does not need it. */
const presence = "CASE WHEN output IS NOT NULL THEN '{}' END";
const noData: Readonly<Record<string, unknown>> = Object.freeze({});

export class PostgresStore implements RunStore {
  readonly durable = true;
  readonly #db: Connection;
  readonly #slots: Slots;
  readonly #leaseMs: number;
  /** Of this store alone: a second one in the same process is another worker. */
  readonly #owner = randomUUID();
  readonly #append: (item: Append) => Promise<undefined>;
  readonly #change: (item: Changing) => Promise<"done" | "signaled">;
  readonly #begin: (item: Beginning) => Promise<{ startedAt: Date; eventFloor: number } | null>;
  readonly #notices = new Set<string>();
  #notifying = false;

  private constructor(db: Connection, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
    this.#slots = new Slots(db);
    const commits = new GroupCommit();
    this.#append = commits.lane<Append, undefined>({
      write: (items) => this.#writeRows(items),
      keyOf: ({ lease }) => lease.runId,
      oncePerKey: false,
    });
    this.#change = commits.lane<Changing, "done" | "signaled">({
      write: (items) => this.#writeChanges(items),
      keyOf: ({ lease }) => lease.runId,
      oncePerKey: true,
    });
    this.#begin = commits.lane<Beginning, { startedAt: Date; eventFloor: number } | null>({
      write: (items) => this.#writeBegins(items),
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
      if (state === "queued") this.#notify("due");
      const fresh = { state, epoch: 1, finishedAt: null, waits: [], request: null, signals: 0 } as const;
      return { run: { ...run, ...fresh, ...begun }, taken: state === "running" };
    }
    const row = await this.#row(run.id);
    if (!row) throw new LeaseLost(run.id);
    // Ours also when an earlier try was committed and its answer lost.
    return { run: toRun(row), taken: row.owner === this.#owner && row.state === "running" && row.lease_epoch === 1 };
  }

  async find(runId: string): Promise<StoredRun | undefined> {
    const row = await this.#row(runId);
    return row && toRun(row);
  }

  async list({ workflow, state, originName, limit = 50, before }: RunFilter): Promise<StoredRun[]> {
    const rows = await this.#db.rows<RunRow>(
      "list",
      `SELECT * FROM tsdev.runs r
        WHERE ($1::text IS NULL OR workflow = $1) AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR origin_name = $3)
          AND ($4::text IS NULL OR (started_at, id) < (SELECT b.started_at, b.id FROM tsdev.runs b WHERE b.id = $4))
        ORDER BY started_at DESC, id DESC LIMIT $5`,
      [workflow ?? null, state ?? null, originName ?? null, before ?? null, limit],
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

  async history(runIds: readonly string[], outputs: boolean): Promise<Map<string, HistoryRow[]>> {
    const one = runIds.length === 1;
    const rows = await this.#db.arrays(
      `${outputs ? "history" : "paths"}-of-${one ? "one" : "many"}`,
      `SELECT seq, epoch, type, node, data, ${outputs ? "output" : presence}${one ? "" : ", run_id"} FROM tsdev.journal
        WHERE ${one ? "run_id = $1 ORDER BY seq" : "run_id = ANY ($1::text[]) ORDER BY run_id, seq"}`,
      [one ? runIds[0] : runIds],
    );
    if (one) return new Map([[runIds[0]!, rows.map(toHistoryRow)]]);
    const all = new Map<string, HistoryRow[]>(runIds.map((id) => [id, []]));
    for (const row of rows) all.get(row[6] as string)!.push(toHistoryRow(row));
    return all;
  }

  async events(runId: string, after: number, limit: number): Promise<RunEvent[]> {
    type EventRow = { seq: number; type: RowType; node: string | null; data: string | null; at: Date };
    const rows = await this.#db.rows<EventRow>(
      "events",
      "SELECT seq, type, node, data, at FROM tsdev.journal WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
      [runId, after, limit],
    );
    return rows.map(({ seq, at, type, node, data }) =>
      eventOf({ runId, seq, at, type, node, data: data === null ? noData : JSON.parse(data) }),
    );
  }

  append(lease: Lease, row: Row): Promise<void> {
    return this.#append({ lease, row });
  }

  change(lease: Lease, change: Change): Promise<"done" | "signaled"> {
    return this.#change({ lease, change });
  }

  async due(workflows: readonly string[], except: Except, limit: number): Promise<DueRun[]> {
    return this.#db.rows<DueRun>(
      "due",
      `SELECT id, workflow, version FROM tsdev.runs
        WHERE due_at <= now() AND workflow = ANY ($1::text[]) AND id <> ALL ($2::text[])
          AND (workflow || '@' || version) <> ALL ($3::text[]) ORDER BY due_at LIMIT $4`,
      [workflows, except.runIds, except.versions, limit],
    );
  }

  async claim(runIds: readonly string[]): Promise<ClaimedRun[]> {
    await this.#slots.take(runIds);
    type Claimed = RunRow & { was: RunState; seq: number };
    const rows = await this.#db.rows<Claimed>("claim", sql.claimRuns, [runIds, this.#owner, this.#leaseMs]);
    return rows.map((row) => ({ ...toRun(row), seq: row.seq + (row.was === "waiting" ? 0 : 1) }));
  }

  async renew(leases: readonly Lease[]): Promise<Map<string, Standing>> {
    const rows = await this.#db.rows<StandingRow & { id: string }>("renew", sql.renewRuns, [
      leases.map(({ runId }) => runId),
      leases.map(({ epoch }) => epoch),
      this.#leaseMs,
    ]);
    return new Map(rows.map((row) => [row.id, toStanding(row)]));
  }

  async release(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    const released = [leases.map(({ runId }) => runId), leases.map(({ epoch }) => epoch)];
    await this.#db.result("release", sql.releaseRuns, released);
    this.#notify("due");
  }

  async act<T>(runId: string, decide: (view: ActView) => { act?: Act; result: T }): Promise<T | undefined> {
    const found = await this.#row(runId);
    if (!found) return undefined;
    const outcome = await this.#db.transaction(async (client) => {
      // Before the row, as the end of a run does.
      if (found.slot_key !== null) await this.#slots.lock(client, found.slot_key);
      const { rows } = await client.query<RunRow & { held: boolean }>(
        "SELECT *, state = 'running' AND due_at > now() AS held FROM tsdev.runs WHERE id = $1 FOR NO KEY UPDATE",
        [runId],
      );
      const row = rows[0];
      if (!row) return undefined;
      const journal = await client.query("SELECT max(seq) AS seq FROM tsdev.journal WHERE run_id = $1", [runId]);
      const waits = await client.query("SELECT node, kind, event, key, child FROM tsdev.waits WHERE run_id = $1", [
        runId,
      ]);
      const answers = await client.query("SELECT * FROM tsdev.answers WHERE run_id = $1", [runId]);
      const seq = journal.rows[0].seq as number;
      const { act, result } = decide({
        run: toRun(row),
        seq,
        held: row.held,
        openWaits: waits.rows.map(toOpenWait),
        answers: new Map(answers.rows.map((answer) => [answer.node as string, toAnswer(answer)])),
      });
      if (!act) return { result };
      const epoch = row.lease_epoch + (act.rows ? 1 : 0);
      for (const [index, one] of (act.rows ?? []).entries()) {
        await client.query(
          "INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data) VALUES ($1, $2, $3, $4, $5, $6)",
          [runId, seq + 1 + index, epoch, one.type, one.node, one.data ? JSON.stringify(one.data) : null],
        );
      }
      if (act.answer) {
        const { approved, by, comment } = act.answer.answer;
        await client.query(
          "INSERT INTO tsdev.answers (run_id, node, approved, by, comment) VALUES ($1, $2, $3, $4, $5)",
          [runId, act.answer.node, approved, by, comment ?? null],
        );
      }
      const state = act.state ?? row.state;
      const ended = endStates.has(state);
      const request = act.request === undefined ? requestOf(row) : act.request;
      await client.query(
        `UPDATE tsdev.runs SET state = $2, lease_epoch = $3, signals = signals + 1, request = $4, request_reason = $5,
                due_at = CASE WHEN $6 THEN now() WHEN $7 THEN NULL ELSE due_at END,
                finished_at = CASE WHEN $8 THEN coalesce(finished_at, now()) END, error = $9, has_slot = has_slot AND NOT $8
          WHERE id = $1`,
        [
          runId,
          state,
          epoch,
          request?.kind ?? null,
          request?.reason ?? null,
          act.due === true,
          ended || state === "paused",
          ended,
          ended ? (act.error ? JSON.stringify(act.error) : row.error) : null,
        ],
      );
      if (ended || act.state === "queued") {
        if (ended) await client.query("DELETE FROM tsdev.waits WHERE run_id = $1", [runId]);
        if (ended) await client.query("DELETE FROM tsdev.answers WHERE run_id = $1", [runId]);
      }
      if (ended && row.slot_key !== null) await this.#slots.free(client, row.slot_key);
      return { result, due: act.due === true };
    });
    if (!outcome) return undefined;
    this.#notify(`run:${runId}`);
    if (outcome.due || found.slot_key !== null) this.#notify("due");
    return outcome.result;
  }

  async standing(runId: string): Promise<Standing | undefined> {
    const [row] = await this.#db.rows<StandingRow>(
      "standing",
      "SELECT signals, request, request_reason FROM tsdev.runs WHERE id = $1",
      [runId],
    );
    return row && toStanding(row);
  }

  async answer(runId: string, node: string): Promise<Answer | undefined> {
    const [row] = await this.#db.rows<AnswerRow>(
      "answer",
      "SELECT * FROM tsdev.answers WHERE run_id = $1 AND node = $2",
      [runId, node],
    );
    return row && toAnswer(row);
  }

  async openWait({ runId }: Lease, wait: OpenWait): Promise<void> {
    const [event, key, child] =
      wait.kind === "event"
        ? [wait.event, wait.key ?? null, null]
        : [null, null, wait.kind === "run" ? wait.runId : null];
    await this.#db.result(
      "wait",
      `INSERT INTO tsdev.waits (run_id, node, kind, event, key, child) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (run_id, node) DO UPDATE SET kind = $3, event = $4, key = $5, child = $6`,
      [runId, wait.node, wait.kind, event, key, child],
    );
  }

  async wake(runIds: readonly string[]): Promise<void> {
    if (runIds.length === 0) return;
    await this.#db.result("wake", sql.wakeRuns, [runIds]);
    for (const runId of runIds) this.#notify(`run:${runId}`);
    this.#notify("due");
  }

  async mend(): Promise<void> {
    const rows = await this.#db.rows<{ run_id: string }>(
      "mend",
      `SELECT w.run_id FROM tsdev.waits w JOIN tsdev.runs c ON c.id = w.child JOIN tsdev.runs r ON r.id = w.run_id
        WHERE c.finished_at IS NOT NULL AND r.state = 'waiting'
          AND (r.due_at IS NULL OR r.due_at > now()) LIMIT 500`,
      [],
    );
    await this.wake(rows.map(({ run_id }) => run_id));
    await this.#slots.mend();
  }

  async publish({ id, name, key, payload }: Omit<PublishedEvent, "seq">): Promise<boolean> {
    const inserted = await this.#db.result(
      "publish",
      "INSERT INTO tsdev.events (id, name, key, payload) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
      [id, name, key, encode(payload)],
    );
    this.#notify("event");
    return inserted.rowCount === 1;
  }

  async wakeFor({ name, key }: Pick<PublishedEvent, "name" | "key">): Promise<void> {
    const rows = await this.#db.rows<{ run_id: string }>(
      "waiting-for",
      `SELECT DISTINCT run_id FROM tsdev.waits
        WHERE event = $1 AND (key IS NULL OR $2::text IS NULL OR key = $2)`,
      [name, key],
    );
    await this.wake(rows.map(({ run_id }) => run_id));
  }

  async findEvent(
    { name, key }: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): Promise<PublishedEvent | undefined> {
    const [row] = await this.#db.rows<EventRow>(
      "find-event",
      `SELECT seq, id, name, key, payload FROM tsdev.events
        WHERE name = $1 AND seq > $3 AND ($2::text IS NULL OR key IS NULL OR key = $2) AND id <> ALL ($4::text[])
        ORDER BY seq LIMIT 1`,
      [name, key, after, except],
    );
    return row && toEvent(row);
  }

  async undispatched(names: readonly string[], limit: number): Promise<PublishedEvent[]> {
    const rows = await this.#db.rows<EventRow>(
      "undispatched",
      `SELECT seq, id, name, key, payload FROM tsdev.events
        WHERE NOT dispatched AND name = ANY ($1::text[]) ORDER BY seq LIMIT $2`,
      [names, limit],
    );
    return rows.map(toEvent);
  }

  async dispatched(ids: readonly string[]): Promise<void> {
    await this.#db.result("dispatched", "UPDATE tsdev.events SET dispatched = true WHERE id = ANY ($1::text[])", [ids]);
  }

  async cursor(name: string): Promise<string | null> {
    const [row] = await this.#db.rows<{ value: string }>("cursor", "SELECT value FROM tsdev.cursors WHERE name = $1", [
      name,
    ]);
    return row?.value ?? null;
  }

  async moveCursor(name: string, from: string | null, to: string): Promise<boolean> {
    const moved = await this.#db.result(
      from === null ? "set-cursor" : "move-cursor",
      from === null
        ? "INSERT INTO tsdev.cursors (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
        : "UPDATE tsdev.cursors SET value = $2 WHERE name = $1 AND value = $3",
      from === null ? [name, to] : [name, to, from],
    );
    return moved.rowCount === 1;
  }

  now(): Date {
    return this.#db.now();
  }

  askNow(): Promise<Date> {
    return this.#db.askNow();
  }

  listen(onNotice: (notice: Notice) => void): void {
    const onPayload = (payload: string) => {
      if (payload === "due" || payload === "event") onNotice({ kind: payload });
      else if (payload.startsWith("run:")) onNotice({ kind: "run", runId: payload.slice(4) });
    };
    // What was said while nobody listened.
    void this.#db.listen(channel, onPayload, () => onNotice({ kind: "due" }));
  }

  async prune(retainDays: number): Promise<boolean> {
    const runs = await this.#db.result(
      "prune",
      `WITH old AS (
         SELECT id FROM tsdev.runs WHERE finished_at < now() - $1 * interval '1 day' ORDER BY finished_at LIMIT $2
            FOR UPDATE SKIP LOCKED),
       j AS (DELETE FROM tsdev.journal USING old WHERE run_id = id)
       DELETE FROM tsdev.runs r USING old WHERE r.id = old.id`,
      [retainDays, pruneBatch],
    );
    const events = await this.#db.result(
      "prune-events",
      `DELETE FROM tsdev.events WHERE seq IN (
         SELECT seq FROM tsdev.events WHERE published_at < now() - $1 * interval '1 day' LIMIT $2)`,
      [eventRetainDays, pruneBatch],
    );
    return runs.rowCount === pruneBatch || events.rowCount === pruneBatch;
  }

  check(): Promise<void> {
    return this.#db.check();
  }

  close(): Promise<void> {
    return this.#db.close();
  }

  async #writeRows(items: readonly Append[]): Promise<readonly (undefined | Error)[]> {
    const columns = rowColumns(items);
    const result = await this.#db.result("append", sql.appendRows, columns);
    if (result.rowCount === items.length) return [];
    const written = await this.#written(columns);
    return items.map(({ lease, row }) =>
      written.has(rowKey(lease.runId, row.seq)) ? undefined : new LeaseLost(lease.runId),
    );
  }

  async #writeChanges(items: readonly Changing[]): Promise<readonly ("done" | "signaled" | Error)[]> {
    const rows = items.flatMap(({ lease, change }) => change.rows.map((row) => ({ lease, row })));
    const closed = items.flatMap(({ lease, change }) => (change.closed ?? []).map((node) => ({ lease, node })));
    const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
    const columns = rowColumns(rows);
    const values = [
      ...columns,
      items.map(({ lease }) => lease.runId),
      items.map(({ lease }) => lease.epoch),
      items.map(({ change }) => change.ifSignals ?? null),
      items.map(({ change }) => change.state ?? null),
      items.map(({ change }) => change.dueAt ?? null),
      items.map(({ change }) => json(change.waits)),
      items.map(({ change }) => ("output" in change ? encode(change.output) : null)),
      items.map(({ change }) => json(change.error)),
      closed.map(({ lease }) => lease.runId),
      closed.map(({ node }) => node),
    ];
    const done = await this.#db.rows<{ id: string }>("change", sql.changeRuns, values);
    const ids = new Set(done.map(({ id }) => id));
    const ended = items.filter(
      ({ lease, change }) => ids.has(lease.runId) && change.state && endStates.has(change.state),
    );
    if (await this.#slots.freeOf(ended.map(({ lease }) => lease.runId))) this.#notify("due");
    if (ids.size === items.length) return items.map(() => "done");
    const written = await this.#written(columns);
    return Promise.all(
      items.map(async ({ lease, change }) => {
        const last = change.rows.at(-1)!;
        if (ids.has(lease.runId) || written.has(rowKey(lease.runId, last.seq))) return "done";
        const row = await this.#row(lease.runId);
        const held = row?.lease_epoch === lease.epoch && row.state === "running";
        return held && change.ifSignals !== undefined ? "signaled" : new LeaseLost(lease.runId);
      }),
    );
  }

  async #writeBegins(
    items: readonly Beginning[],
  ): Promise<readonly ({ startedAt: Date; eventFloor: number } | null)[]> {
    const column = (read: (run: NewRun) => string | null) => items.map(({ run }) => read(run));
    type Begun = { id: string; state: string; started_at: Date; event_floor: string };
    const rows = await this.#db.rows<Begun>(
      "begin",
      sql.beginRuns,
      [
        column((run) => run.id),
        column((run) => run.workflow),
        column((run) => run.version),
        column((run) => JSON.stringify(run.ir)),
        column((run) => encode(run.input)),
        column((run) => encode(run.scope)),
        column((run) => run.inputDigest),
        column((run) => run.traceparent),
        column((run) => JSON.stringify(run.origin)),
        column((run) => run.origin.name ?? null),
        column((run) => run.principal && JSON.stringify(run.principal)),
        column((run) => run.parent),
        column((run) => run.slotKey),
        items.map(({ state }) => state),
        this.#owner,
        items.map(({ dueMs }) => dueMs),
        items.map(({ eventFloor }) => eventFloor ?? null),
      ],
      beginPatienceMs,
    );
    const begun = new Map(rows.map((row) => [row.id, row]));
    return items.map(({ run }) => {
      const row = begun.get(run.id);
      return row ? { startedAt: row.started_at, eventFloor: Number(row.event_floor) } : null;
    });
  }

  async #written([runIds, epochs, seqs]: readonly unknown[][]): Promise<Set<string>> {
    const rows = await this.#db.rows<{ run_id: string; seq: number }>("read", sql.readRows, [runIds, epochs, seqs]);
    return new Set(rows.map(({ run_id, seq }) => rowKey(run_id, seq)));
  }

  async #row(runId: string): Promise<RunRow | undefined> {
    const rows = await this.#db.rows<RunRow>("run", "SELECT * FROM tsdev.runs WHERE id = $1", [runId]);
    return rows[0];
  }

  /** After the commit and not in it: a commit that notifies takes a lock of the whole database. Polling is behind it. */
  #notify(payload: string): void {
    this.#notices.add(payload);
    if (!this.#notifying) void this.#sendNotices();
  }

  async #sendNotices(): Promise<void> {
    this.#notifying = true;
    // What else is said in this tick goes along.
    await Promise.resolve();
    while (this.#notices.size > 0) {
      const payloads = [...this.#notices];
      this.#notices.clear();
      await this.#db
        .result("notify", `SELECT pg_notify('${channel}', p) FROM unnest($1::text[]) p`, [payloads], 0)
        .catch(() => {});
    }
    this.#notifying = false;
  }
}

const rowKey = (runId: string, seq: number) => `${runId}\n${seq}`;

function rowColumns(items: readonly Append[]): unknown[][] {
  const [ids, epochs, seqs, types, nodes, data, outputs]: unknown[][] = [[], [], [], [], [], [], []];
  for (const { lease, row } of items) {
    ids!.push(lease.runId);
    epochs!.push(lease.epoch);
    seqs!.push(row.seq);
    types!.push(row.type);
    nodes!.push(row.node);
    data!.push(row.data === undefined ? null : JSON.stringify(row.data));
    outputs!.push("output" in row ? encode(row.output) : null);
  }
  return [ids!, epochs!, seqs!, types!, nodes!, data!, outputs!];
}

function toHistoryRow([seq, epoch, type, node, data, output]: unknown[]): HistoryRow {
  return {
    seq: seq as number,
    epoch: epoch as number,
    type: type as RowType,
    node: node as string | null,
    // Of a finished step nothing in it decides how the run goes on.
    data: data === null || type === "step.finished" ? noData : JSON.parse(data as string),
    output: output === null ? undefined : new StoredText(output as string),
  };
}

interface StandingRow {
  signals: number;
  request: "cancel" | "pause" | null;
  request_reason: string | null;
}

function requestOf(row: Omit<StandingRow, "signals">) {
  return row.request === null ? null : { kind: row.request, reason: row.request_reason ?? "" };
}

function toStanding(row: StandingRow): Standing {
  return { signals: row.signals, request: requestOf(row) };
}

interface AnswerRow {
  approved: boolean;
  by: string;
  comment: string | null;
  at: Date;
}

function toAnswer({ approved, by, comment, at }: AnswerRow): Answer {
  return { approved, by, at, ...(comment === null ? {} : { comment }) };
}

interface EventRow {
  seq: string;
  id: string;
  name: string;
  key: string | null;
  payload: string;
}

function toEvent({ seq, id, name, key, payload }: EventRow): PublishedEvent {
  return { seq: Number(seq), id, name, key, payload: decode(payload) };
}

function toOpenWait(row: {
  node: string;
  kind: OpenWait["kind"];
  event: string;
  key: string | null;
  child: string;
}): OpenWait {
  const { node, kind, event, key, child } = row;
  if (kind === "event") return { kind, node, event, ...(key === null ? {} : { key }) };
  return kind === "run" ? { kind, node, runId: child } : { kind, node };
}
