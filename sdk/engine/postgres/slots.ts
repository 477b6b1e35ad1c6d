// Slots: at most so many unfinished runs of one key, over all workers. Invariants:
// 1. Slots of a key are given and freed under one advisory lock, so that two workers never count at the same time.
// 2. A run that finds none is parked: queued and due never. When a run with a slot has ended, the one that was begun
//    first is made due again; `mend` does it where a crash came between the two.
// 3. The lock is taken before any lock on a run's row.
import type { PoolClient } from "pg";
import type { Connection } from "./connection.ts";

interface Candidate {
  id: string;
  slot_key: string;
  limit: number;
}

export class Slots {
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
  }

  async lock(client: PoolClient, key: string): Promise<void> {
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('tsdev.slot:' || $1, 0))", [key]);
  }

  /** Gives slots to those of these queued runs that need one, and parks the others. */
  async take(runIds: readonly string[]): Promise<void> {
    const candidates = await this.#db.rows<Candidate>(
      "slot-candidates",
      `SELECT id, slot_key, (ir -> 'concurrency' ->> 'limit')::int AS limit FROM tsdev.runs
        WHERE id = ANY ($1::text[]) AND slot_key IS NOT NULL AND NOT has_slot AND state = 'queued' AND due_at <= now()
        ORDER BY started_at, id`,
      [runIds],
    );
    for (const { id, slot_key, limit } of candidates) {
      await this.#db.transaction(async (client) => {
        await this.lock(client, slot_key);
        await client.query(
          `UPDATE tsdev.runs r SET has_slot = s.free, due_at = CASE WHEN s.free THEN r.due_at END
             FROM (SELECT count(*) < $3 AS free FROM tsdev.runs
                    WHERE slot_key = $2 AND has_slot AND finished_at IS NULL) s
            WHERE r.id = $1 AND r.state = 'queued' AND NOT r.has_slot AND r.due_at <= now()`,
          [id, slot_key, limit],
        );
      });
    }
  }

  /** Passes on the slots of runs that have ended. True when one of them had a key. */
  async freeOf(runIds: readonly string[]): Promise<boolean> {
    if (runIds.length === 0) return false;
    const keys = await this.#db.rows<{ slot_key: string }>(
      "slot-keys",
      "SELECT DISTINCT slot_key FROM tsdev.runs WHERE id = ANY ($1::text[]) AND slot_key IS NOT NULL",
      [runIds],
    );
    await this.#freeAll(keys);
    return keys.length > 0;
  }

  /** Passes on slots that are free while runs are parked. */
  async mend(): Promise<void> {
    const keys = await this.#db.rows<{ slot_key: string }>(
      "slot-parked",
      `SELECT DISTINCT slot_key FROM tsdev.runs
        WHERE slot_key IS NOT NULL AND finished_at IS NULL AND NOT has_slot AND state = 'queued' AND due_at IS NULL LIMIT 100`,
      [],
    );
    await this.#freeAll(keys);
  }

  async #freeAll(keys: readonly { slot_key: string }[]): Promise<void> {
    for (const { slot_key } of keys) {
      await this.#db.transaction(async (client) => {
        await this.lock(client, slot_key);
        await this.free(client, slot_key);
      });
    }
  }

  /** Makes parked runs of the key due, as many as there are free slots. The lock is held. */
  async free(client: PoolClient, key: string): Promise<void> {
    await client.query(
      `UPDATE tsdev.runs SET due_at = now() WHERE id IN (
         SELECT id FROM (
           SELECT id, row_number() OVER (ORDER BY started_at, id) AS place, (ir -> 'concurrency' ->> 'limit')::int AS slots
             FROM tsdev.runs WHERE slot_key = $1 AND state = 'queued' AND NOT has_slot AND due_at IS NULL) parked
          WHERE place <= slots - (SELECT count(*) FROM tsdev.runs WHERE slot_key = $1 AND has_slot AND finished_at IS NULL))`,
      [key],
    );
  }
}
