// Statements: the writes of a run's holder, for many runs at once, each fenced by the epoch of its lease.

/**
 * Arrays of a batch, as the columns of a table. `(SELECT …)` keeps their lengths from the planner: it would take a plan made
 * for a length to be cheaper and make one for every small batch, which costs some 120 µs each time.
 */
const batch = (from: number, types: readonly string[]) =>
  `unnest(${types.map((type, index) => `(SELECT $${from + index}::${type}[])`).join(", ")})`;

/** The fields of a journal row, as parallel arrays. */
const rowColumns = `${batch(1, ["text", "int", "int", "text", "text", "text", "text"])} u (run_id, epoch, seq, type, node, data, output)`;

// FOR SHARE and not a plain join: it waits for a takeover in flight, a join would let the stale worker write. In the order
// of ids, as all that lock many runs do, so that no two wait for each other in a circle.
const appendMany = `
  INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data, output)
  SELECT u.run_id, u.seq, u.epoch, u.type, u.node, u.data::json, u.output::json
    FROM (SELECT * FROM ${rowColumns} ORDER BY u.run_id COLLATE "C", u.seq) u
   CROSS JOIN LATERAL (SELECT FROM tsdev.runs r
                        WHERE r.id = u.run_id AND r.lease_epoch = u.epoch AND r.state = 'running' FOR SHARE) f`;

// Without ON CONFLICT: it makes every insert a speculative one, with a record more in the WAL, and costs a fifth.
export const appendRows = appendMany;

/** The same for one row, in two thirds of the time. */
export const appendRow = `
  INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data, output)
  SELECT f.id, $3::int, $2::int, $4::text, $5::text, $6::json, $7::json
    FROM (SELECT id FROM tsdev.runs WHERE id = $1 AND lease_epoch = $2 AND state = 'running' FOR SHARE) f`;

/** For a try after one that may have been committed. */
export const appendMissingRows = `${appendMany} ON CONFLICT DO NOTHING`;

// What is missing was either fenced off, or committed by a try whose answer was lost.
export const readRows = `
  SELECT j.run_id, j.seq FROM tsdev.journal j
    JOIN unnest($1::text[], $2::int[], $3::int[]) u (run_id, epoch, seq)
      ON j.run_id = u.run_id AND j.seq = u.seq AND j.epoch = u.epoch`;

// Locks in the order of ids, as the append does, so that the two never wait for each other in a circle.
export const changeRuns = `
  WITH u AS (
    SELECT * FROM ${batch(8, ["text", "int", "int", "text", "timestamptz", "text", "text", "text"])}
      u (id, epoch, if_signals, state, due_at, waits, output, error)),
  f AS (
    SELECT r.id FROM tsdev.runs r JOIN u ON u.id = r.id AND u.epoch = r.lease_epoch
     WHERE r.state = 'running' AND (u.if_signals IS NULL OR u.if_signals = r.signals)
     ORDER BY r.id FOR NO KEY UPDATE OF r),
  c AS (
    UPDATE tsdev.runs r
       SET state = u.state, due_at = u.due_at, waits = u.waits::json, output = u.output::json, error = u.error::json,
           finished_at = CASE WHEN u.state IN ('done', 'failed', 'canceled') THEN now() END,
           has_slot = r.has_slot AND u.state NOT IN ('done', 'failed', 'canceled'),
           request = CASE WHEN u.state IN ('waiting', 'queued') THEN r.request END
      FROM u JOIN f ON f.id = u.id WHERE r.id = u.id AND u.state IS NOT NULL RETURNING r.id, r.state),
  j AS (
    INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data, output)
    SELECT u.run_id, u.seq, u.epoch, u.type, u.node, u.data::json, u.output::json
      FROM ${rowColumns} JOIN f ON f.id = u.run_id
    ON CONFLICT DO NOTHING),
  w AS (
    DELETE FROM tsdev.waits w USING f, ${batch(16, ["text", "text"])} o (run_id, node)
     WHERE w.run_id = f.id AND o.run_id = f.id AND o.node = w.node),
  a AS (
    DELETE FROM tsdev.answers a USING f, ${batch(16, ["text", "text"])} o (run_id, node)
     WHERE a.run_id = f.id AND o.run_id = f.id AND o.node = a.node),
  we AS (DELETE FROM tsdev.waits w USING c WHERE w.run_id = c.id AND c.state IN ('done', 'failed', 'canceled')),
  ae AS (DELETE FROM tsdev.answers a USING c WHERE a.run_id = c.id AND c.state IN ('done', 'failed', 'canceled'))
  SELECT id FROM f`;

export const beginRuns = `
  WITH n AS (
    INSERT INTO tsdev.runs (id, workflow, version, ir, input, scope, input_digest, traceparent, origin, origin_name,
                            principal, parent, slot_key, state, owner, due_at, event_floor)
    SELECT u.id, u.workflow, u.version, u.ir::json, u.input::json, u.scope::json, u.input_digest, u.traceparent,
           u.origin::json, u.origin_name, u.principal::json, u.parent, u.slot_key, u.state, $15,
           now() + u.due_ms * interval '1 ms', coalesce(u.event_floor, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tsdev.events_seq_seq))
      FROM unnest(${Array.from({ length: 14 }, (_none, index) => `(SELECT $${index + 1}::text[])`).join(", ")},
                  (SELECT $16::float8[]), (SELECT $17::bigint[]))
           u (id, workflow, version, ir, input, scope, input_digest, traceparent, origin, origin_name, principal, parent,
              slot_key, state, due_ms, event_floor)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, state, workflow, version, origin, started_at, event_floor),
  j AS (
    INSERT INTO tsdev.journal (run_id, seq, epoch, type, data)
    SELECT id, 1, 1, CASE state WHEN 'running' THEN 'run.started' ELSE 'run.queued' END,
           json_build_object('workflow', workflow, 'version', version, 'origin', origin)
      FROM n)
  SELECT id, state, started_at, event_floor FROM n`;

// A run without a slot that needs one is not taken here. Rows that another has locked are left for the next time.
export const claimRuns = `
  WITH d AS (
    SELECT id, state AS was FROM tsdev.runs
     WHERE id = ANY ($1::text[]) AND due_at <= now() AND state IN ('queued', 'running', 'waiting')
       AND (slot_key IS NULL OR has_slot OR state <> 'queued')
     ORDER BY id FOR NO KEY UPDATE SKIP LOCKED),
  c AS (
    UPDATE tsdev.runs r
       SET state = 'running', owner = $2, lease_epoch = lease_epoch + 1, due_at = now() + $3 * interval '1 ms', waits = NULL
      FROM d WHERE r.id = d.id
    RETURNING r.*, d.was, (SELECT max(seq) FROM tsdev.journal j WHERE j.run_id = r.id) AS seq),
  j AS (
    INSERT INTO tsdev.journal (run_id, seq, epoch, type, data)
    SELECT id, seq + 1, lease_epoch, CASE WHEN seq = 1 AND was = 'queued' THEN 'run.started' ELSE 'run.resumed' END,
           CASE WHEN seq = 1 AND was = 'queued'
                THEN json_build_object('workflow', workflow, 'version', version, 'origin', origin)
                WHEN was = 'running' THEN '{"died":true}'::json END
      FROM c WHERE was <> 'waiting')
  SELECT * FROM c`;

export const renewRuns = `
  WITH held AS (
    SELECT r.id FROM tsdev.runs r
      JOIN unnest($1::text[], $2::int[]) u (id, epoch) ON r.id = u.id AND r.lease_epoch = u.epoch
     WHERE r.state = 'running' ORDER BY r.id FOR NO KEY UPDATE OF r)
  UPDATE tsdev.runs r SET due_at = now() + $3 * interval '1 ms' FROM held WHERE r.id = held.id
  RETURNING r.id, r.signals, r.request, r.request_reason`;

/** Gives runs back, not as if their worker had died. */
export const releaseRuns = `
  WITH held AS (
    SELECT r.id FROM tsdev.runs r
      JOIN unnest($1::text[], $2::int[]) u (id, epoch) ON r.id = u.id AND r.lease_epoch = u.epoch
     WHERE r.state = 'running' ORDER BY r.id FOR NO KEY UPDATE OF r)
  UPDATE tsdev.runs r SET state = 'queued', due_at = now() FROM held WHERE r.id = held.id`;

export const wakeRuns = `
  WITH woken AS (SELECT id FROM tsdev.runs WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE)
  UPDATE tsdev.runs r SET signals = signals + 1, due_at = CASE WHEN state = 'waiting' THEN now() ELSE due_at END
    FROM woken WHERE r.id = woken.id`;
