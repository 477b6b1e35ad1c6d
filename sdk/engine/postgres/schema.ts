// Schema: the engine's tables in the app's Postgres, made and migrated by the engine itself.
import type { Pool } from "pg";

/** Numbered by position, never edited: a change is a new entry. */
const migrations: readonly string[] = [
  // json and not jsonb: the text is kept as it was, key order and \u0000 included, and it is cheaper to write.
  `CREATE TABLE tsdev.runs (
     id text PRIMARY KEY,
     workflow text NOT NULL,
     version text NOT NULL,
     ir json NOT NULL,
     input json NOT NULL,
     scope json NOT NULL,
     input_digest text NOT NULL,
     traceparent text,
     state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
     owner text NOT NULL,
     lease_epoch int NOT NULL DEFAULT 1,
     lease_until timestamptz NOT NULL,
     started_at timestamptz NOT NULL DEFAULT now(),
     finished_at timestamptz,
     output json,
     error json
   );
   CREATE INDEX runs_unfinished ON tsdev.runs (lease_until) WHERE state = 'running';
   CREATE TABLE tsdev.steps (
     run_id text NOT NULL REFERENCES tsdev.runs (id) ON DELETE CASCADE,
     node text NOT NULL,
     epoch int NOT NULL,
     output json NOT NULL,
     finished_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (run_id, node)
   );`,
  // Steps become rows of the journal. A worker of the version before finds its tables gone, stops without having written,
  // and its runs are carried on when their leases end.
  // due_at: when a worker is to look at the run if nobody does before: the lease's end while it runs, the next timer
  // while it waits, at once when it is queued, never (null) when only an act from outside or a free slot moves it.
  `CREATE TABLE tsdev.journal (
     run_id text COLLATE "C" NOT NULL,
     seq int NOT NULL,
     epoch int NOT NULL,
     type text NOT NULL,
     node text,
     data json,
     output json,
     at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (run_id, seq)
   );
   INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data, output, at)
     SELECT run_id, 1 + row_number() OVER (PARTITION BY run_id ORDER BY finished_at, node), epoch, 'step.finished', node,
            '{"ms":0,"attempts":1}', output, finished_at
       FROM tsdev.steps;
   INSERT INTO tsdev.journal (run_id, seq, epoch, type, data, at)
     SELECT id, 1, 1, 'run.started', json_build_object('workflow', workflow, 'version', version, 'origin', json_build_object('kind', 'direct')), started_at
       FROM tsdev.runs;
   INSERT INTO tsdev.journal (run_id, seq, epoch, type, data, at)
     SELECT r.id, 1 + (SELECT max(seq) FROM tsdev.journal j WHERE j.run_id = r.id), r.lease_epoch,
            CASE WHEN r.state = 'done' THEN 'run.done' WHEN r.error ->> 'code' = 'canceled' THEN 'run.canceled' ELSE 'run.failed' END,
            CASE WHEN r.state = 'done' THEN NULL WHEN r.error ->> 'code' = 'canceled' THEN json_build_object('reason', 'canceled') ELSE json_build_object('error', r.error) END,
            coalesce(r.finished_at, now())
       FROM tsdev.runs r WHERE r.state <> 'running';
   DROP TABLE tsdev.steps;
   DROP INDEX tsdev.runs_unfinished;
   ALTER TABLE tsdev.runs DROP CONSTRAINT runs_state_check;
   ALTER TABLE tsdev.runs RENAME COLUMN lease_until TO due_at;
   ALTER TABLE tsdev.runs
     ALTER COLUMN id TYPE text COLLATE "C",
     ALTER COLUMN due_at DROP NOT NULL,
     ADD COLUMN origin json NOT NULL DEFAULT '{"kind":"direct"}',
     ADD COLUMN origin_name text,
     ADD COLUMN principal json,
     ADD COLUMN parent text COLLATE "C",
     ADD COLUMN slot_key text,
     ADD COLUMN has_slot boolean NOT NULL DEFAULT false,
     ADD COLUMN request text,
     ADD COLUMN request_reason text,
     ADD COLUMN signals int NOT NULL DEFAULT 0,
     ADD COLUMN event_floor bigint NOT NULL DEFAULT 0,
     ADD COLUMN waits json;
   UPDATE tsdev.runs SET state = 'canceled' WHERE state = 'failed' AND error ->> 'code' = 'canceled';
   UPDATE tsdev.runs SET due_at = NULL WHERE state <> 'running';
   ALTER TABLE tsdev.runs ADD CONSTRAINT runs_state_check
     CHECK (state IN ('queued', 'running', 'waiting', 'paused', 'done', 'failed', 'canceled'));
   CREATE INDEX runs_due ON tsdev.runs (due_at) WHERE due_at IS NOT NULL;
   CREATE INDEX runs_queued ON tsdev.runs (workflow) WHERE state = 'queued';
   CREATE INDEX runs_slots ON tsdev.runs (slot_key, has_slot) WHERE slot_key IS NOT NULL AND finished_at IS NULL;
   CREATE INDEX runs_started ON tsdev.runs (started_at, id);
   CREATE INDEX runs_finished ON tsdev.runs (finished_at) WHERE finished_at IS NOT NULL;
   CREATE TABLE tsdev.waits (
     run_id text COLLATE "C" NOT NULL,
     node text NOT NULL,
     kind text NOT NULL,
     event text,
     key text,
     child text COLLATE "C",
     PRIMARY KEY (run_id, node)
   );
   CREATE INDEX waits_event ON tsdev.waits (event) WHERE event IS NOT NULL;
   CREATE INDEX waits_child ON tsdev.waits (child) WHERE child IS NOT NULL;
   CREATE TABLE tsdev.answers (
     run_id text COLLATE "C" NOT NULL,
     node text NOT NULL,
     approved boolean NOT NULL,
     by text NOT NULL,
     comment text,
     at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (run_id, node)
   );
   CREATE TABLE tsdev.events (
     seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     id text NOT NULL UNIQUE,
     name text NOT NULL,
     key text,
     payload json NOT NULL,
     published_at timestamptz NOT NULL DEFAULT now(),
     dispatched boolean NOT NULL DEFAULT false
   );
   CREATE INDEX events_name ON tsdev.events (name, seq);
   CREATE INDEX events_undispatched ON tsdev.events (name, seq) WHERE NOT dispatched;
   CREATE INDEX events_published ON tsdev.events (published_at);
   CREATE TABLE tsdev.cursors (name text PRIMARY KEY, value text NOT NULL);`,
  // A table of a few pages is read whole where a row is looked for, by prepared plans that outlive its growth until the next
  // analyze, up to a minute. Not analyzed or vacuumed before it is larger, Postgres takes it for larger, and uses the index.
  `ALTER TABLE tsdev.runs SET (autovacuum_analyze_threshold = 500, autovacuum_vacuum_threshold = 500);`,
  `CREATE INDEX runs_starter ON tsdev.runs ((principal ->> 'id'), started_at, id) WHERE principal IS NOT NULL;`,
];

/** Any number that no one else in the app's database is likely to lock. */
const lockKey = 7_238_116_001;

/** Brings the schema up to date, or up to migration `to`; safe to call from many processes at once. */
export async function migrate(pool: Pool, to: number = migrations.length): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock($1)", [lockKey]);
    await client.query("CREATE SCHEMA IF NOT EXISTS tsdev");
    await client.query("CREATE TABLE IF NOT EXISTS tsdev.migrations (number int PRIMARY KEY)");
    const { rows } = await client.query<{ done: number }>("SELECT count(*)::int AS done FROM tsdev.migrations");
    const done = rows[0]?.done ?? 0;
    for (const [offset, statements] of migrations.slice(done, to).entries()) {
      await client.query(statements);
      await client.query("INSERT INTO tsdev.migrations (number) VALUES ($1)", [done + offset + 1]);
    }
    await client.query("COMMIT");
    client.release();
  } catch (error) {
    client.release(error instanceof Error ? error : true);
    throw error;
  }
}
