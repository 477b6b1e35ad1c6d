// Depths: how many runs of each workflow are unfinished, by state, in one statement over the indexes of unfinished runs.
import type { RunDepth } from "../run-store.ts";
import type { Connection } from "./connection.ts";

// What has a time when it is due is in one index, what is queued in another, and what waits for an event, an answer or a
// child has a row in the small table of waits. Finished runs, which may be millions, are not touched; LIMIT keeps the
// planner from reading them all for a few waits.
export const statement = `
  SELECT workflow, state, count(*)::int AS runs, (count(*) FILTER (WHERE due_at <= now()))::int AS due FROM (
    SELECT workflow, state, due_at FROM tsdev.runs WHERE due_at IS NOT NULL
    UNION ALL
    SELECT workflow, state, NULL FROM tsdev.runs WHERE state = 'queued' AND due_at IS NULL
    UNION ALL
    SELECT r.workflow, r.state, NULL FROM (SELECT DISTINCT run_id FROM tsdev.waits) w
     CROSS JOIN LATERAL (SELECT workflow, state, due_at FROM tsdev.runs WHERE id = w.run_id LIMIT 1) r
     WHERE r.due_at IS NULL AND r.state = 'waiting') unfinished
  WHERE state IN ('queued', 'running', 'waiting') GROUP BY workflow, state ORDER BY workflow, state`;

export function readDepths(db: Connection): Promise<RunDepth[]> {
  return db.rows<RunDepth>("depths", statement, []);
}
