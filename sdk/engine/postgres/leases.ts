// Leases: which runs want a worker, who takes them, and until when they are its own. A lease that nobody prolongs makes
// its run due, and whoever claims it writes under the next epoch.
import type { RunState } from "../engine.ts";
import type { ClaimedRun, DueRun, Except, Lease, Standing } from "../run-store.ts";
import type { Connection } from "./connection.ts";
import type { Notices } from "./notices.ts";
import { type RunRow, type StandingRow, toRun, toStanding } from "./run-row.ts";
import type { Slots } from "./slots.ts";
import * as sql from "./statements.ts";

export interface LeasesParts {
  readonly db: Connection;
  readonly slots: Slots;
  readonly notices: Notices;
  readonly owner: string;
  readonly leaseMs: number;
}

export class Leases {
  readonly #db: Connection;
  readonly #parts: LeasesParts;

  constructor(parts: LeasesParts) {
    this.#db = parts.db;
    this.#parts = parts;
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
    await this.#parts.slots.take(runIds);
    type Claimed = RunRow & { was: RunState; seq: number };
    const rows = await this.#db.rows<Claimed>("claim", sql.claimRuns, [runIds, this.#parts.owner, this.#parts.leaseMs]);
    return rows.map((row) => ({ ...toRun(row), seq: row.seq + (row.was === "waiting" ? 0 : 1) }));
  }

  async renew(leases: readonly Lease[]): Promise<Map<string, Standing>> {
    const rows = await this.#db.rows<StandingRow & { id: string }>("renew", sql.renewRuns, [
      leases.map(({ runId }) => runId),
      leases.map(({ epoch }) => epoch),
      this.#parts.leaseMs,
    ]);
    return new Map(rows.map((row) => [row.id, toStanding(row)]));
  }

  async release(leases: readonly Lease[]): Promise<void> {
    if (leases.length === 0) return;
    const released = [leases.map(({ runId }) => runId), leases.map(({ epoch }) => epoch)];
    await this.#db.result("release", sql.releaseRuns, released);
    this.#parts.notices.tell("due");
  }
}
