// Waits: what runs wait for, in rows that others find, and how they are woken. A wait is a row before it is a run's state,
// so that who publishes meanwhile sees it; a run is never woken too little, and too often does no harm.
import { type Answer, type Lease, LeaseLost, type OpenWait, type PublishedEvent } from "../run-store.ts";
import type { Connection } from "./connection.ts";
import type { Notices } from "./notices.ts";
import * as sql from "./statements.ts";

export class Waits {
  readonly #db: Connection;
  readonly #notices: Notices;

  constructor(db: Connection, notices: Notices) {
    this.#db = db;
    this.#notices = notices;
  }

  /** Throws LeaseLost: a stale worker must not open again what another has closed. */
  async open({ runId, epoch }: Lease, wait: OpenWait): Promise<void> {
    const [event, key, child] =
      wait.kind === "event"
        ? [wait.event, wait.key ?? null, null]
        : [null, null, wait.kind === "run" ? wait.runId : null];
    const result = await this.#db.result(
      "wait",
      `INSERT INTO tsdev.waits (run_id, node, kind, event, key, child)
       SELECT id, $2, $3, $4, $5, $6
         FROM (SELECT id FROM tsdev.runs WHERE id = $1 AND lease_epoch = $7 AND state = 'running' FOR SHARE) held
       ON CONFLICT (run_id, node) DO UPDATE SET kind = $3, event = $4, key = $5, child = $6`,
      [runId, wait.node, wait.kind, event, key, child, epoch],
    );
    if (result.rowCount === 0) throw new LeaseLost(runId);
  }

  async wake(runIds: readonly string[]): Promise<void> {
    if (runIds.length === 0) return;
    await this.#db.result("wake", sql.wakeRuns, [runIds]);
    for (const runId of runIds) this.#notices.tell(`run:${runId}`);
    this.#notices.tell("due");
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

  /** What a crash between a run's end and the waking of its caller left undone. */
  async wakeForEnded(): Promise<void> {
    const rows = await this.#db.rows<{ run_id: string }>(
      "mend",
      `SELECT w.run_id FROM tsdev.waits w JOIN tsdev.runs c ON c.id = w.child JOIN tsdev.runs r ON r.id = w.run_id
        WHERE c.finished_at IS NOT NULL AND r.state = 'waiting'
          AND (r.due_at IS NULL OR r.due_at > now()) LIMIT 500`,
      [],
    );
    await this.wake(rows.map(({ run_id }) => run_id));
  }

  async answer(runId: string, node: string): Promise<Answer | undefined> {
    const [row] = await this.#db.rows<AnswerRow>(
      "answer",
      "SELECT * FROM tsdev.answers WHERE run_id = $1 AND node = $2",
      [runId, node],
    );
    return row && toAnswer(row);
  }
}

interface AnswerRow {
  approved: boolean;
  by: string;
  comment: string | null;
  at: Date;
}

export function toAnswer({ approved, by, comment, at }: AnswerRow): Answer {
  return { approved, by, at, ...(comment === null ? {} : { comment }) };
}

interface WaitRow {
  node: string;
  kind: OpenWait["kind"];
  event: string;
  key: string | null;
  child: string;
}

export function toOpenWait({ node, kind, event, key, child }: WaitRow): OpenWait {
  if (kind === "event") return { kind, node, event, ...(key === null ? {} : { key }) };
  return kind === "run" ? { kind, node, runId: child } : { kind, node };
}
