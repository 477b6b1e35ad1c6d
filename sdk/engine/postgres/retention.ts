// Retention: deletes runs that ended long ago and old events, in small batches that other work is not held up by.
import { eventRetainDays } from "../run-store.ts";
import type { Connection } from "./connection.ts";

const batch = 500;

/** False when nothing is left that is old enough. */
export async function prune(db: Connection, retainDays: number): Promise<boolean> {
  const runs = await db.result(
    "prune",
    `WITH old AS (
       SELECT id FROM tsdev.runs WHERE finished_at < now() - $1 * interval '1 day' ORDER BY finished_at LIMIT $2
          FOR UPDATE SKIP LOCKED),
     j AS (DELETE FROM tsdev.journal USING old WHERE run_id = id)
     DELETE FROM tsdev.runs r USING old WHERE r.id = old.id`,
    [retainDays, batch],
  );
  const events = await db.result(
    "prune-events",
    `DELETE FROM tsdev.events WHERE seq IN (
       SELECT seq FROM tsdev.events WHERE published_at < now() - $1 * interval '1 day' LIMIT $2)`,
    [eventRetainDays, batch],
  );
  return runs.rowCount === batch || events.rowCount === batch;
}
