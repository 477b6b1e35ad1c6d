// Postgres store: runs and steps as rows, a lease with an epoch, and every step's insert fenced by it.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { context, createContextKey } from "@opentelemetry/api";
import type { Pool, QueryResultRow } from "pg";
import { type ErrorShape, TsdevError } from "../../errors.ts";
import { freezeIr, type WorkflowIr } from "../../ir/ir.ts";
import { isTransient } from "../../policies/transient.ts";
import type { RunState } from "../engine.ts";
import {
  type FinishedRun,
  type FinishedStep,
  type Lease,
  LeaseLost,
  type NewRun,
  type RunStore,
  type StoredRun,
} from "../run-store.ts";
import { decode, encode } from "./codec.ts";
import { GroupCommit } from "./group-commit.ts";
import { migrate } from "./schema.ts";

interface RunRow {
  id: string;
  workflow: string;
  version: string;
  ir: WorkflowIr;
  input: unknown;
  scope: unknown;
  input_digest: string;
  traceparent: string | null;
  state: RunState;
  owner: string;
  lease_epoch: number;
  started_at: Date;
  finished_at: Date | null;
  output: unknown;
  error: ErrorShape | null;
}

/** The key that the OpenTelemetry SDK reads: the engine's own statements are not part of the app's traces. */
const suppressTracing = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/** How long a statement is tried again while the database is away, milliseconds: what runs in flight need. */
const patienceMs = 30_000;
/** The same for a new run, whose caller waits and can ask again. */
const beginPatienceMs = 5_000;

// FOR SHARE and not a plain join: it waits for a takeover in flight, a join would let the stale worker write.
const insertSteps = `
  INSERT INTO tsdev.steps (run_id, node, epoch, output)
  SELECT u.run_id, u.node, u.epoch, u.output::json
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) u (run_id, node, epoch, output)
    JOIN (SELECT id, lease_epoch FROM tsdev.runs WHERE id = ANY ($1::text[]) AND state = 'running'
           ORDER BY id FOR SHARE) f ON f.id = u.run_id AND f.lease_epoch = u.epoch
  ON CONFLICT DO NOTHING
  RETURNING run_id, node`;

// A row that is missing from RETURNING is either fenced off or was committed by a try whose answer was lost.
const readSteps = `
  SELECT s.run_id, s.node FROM tsdev.steps s
    JOIN unnest($1::text[], $2::text[], $3::int[]) u (run_id, node, epoch)
      ON s.run_id = u.run_id AND s.node = u.node AND s.epoch = u.epoch`;

export class PostgresStore implements RunStore {
  readonly durable = true;
  readonly #pool: Pool;
  readonly #leaseMs: number;
  /** Of this store alone: a second one in the same process is another worker. */
  readonly #owner = randomUUID();
  readonly #steps: GroupCommit<FinishedStep>;

  private constructor(pool: Pool, leaseMs: number) {
    this.#pool = pool;
    this.#leaseMs = leaseMs;
    this.#steps = new GroupCommit((steps) => this.#insert(steps));
  }

  /** Connects and makes the tables. Throws `unavailable` when the database does not answer in time. */
  static async open(options: { databaseUrl: string; leaseMs: number; connections: number }): Promise<PostgresStore> {
    // Loaded only here, so that an app without a database needs none of it.
    const { default: pg } = await import("pg");
    const pool = new pg.Pool({
      connectionString: options.databaseUrl,
      max: options.connections,
      connectionTimeoutMillis: 10_000,
      application_name: "tsdev-engine",
    });
    // An idle connection that the server ends is replaced at the next query; without a listener it ends the process.
    pool.on("error", () => {});
    // The same for one that is in use: its query fails, which is enough.
    pool.on("connect", (client) => client.on("error", () => {}));
    try {
      await untraced(() => patiently(() => migrate(pool), 10_000));
    } catch (error) {
      await pool.end();
      throw new TsdevError("unavailable", {
        message: `the workflow engine cannot use its database: ${error instanceof Error ? error.message : error}`,
        fix: "check that DATABASE_URL is right, that Postgres answers and that its user may create a schema",
        cause: error,
      });
    }
    return new PostgresStore(pool, options.leaseMs);
  }

  async begin(run: NewRun): Promise<{ run: StoredRun; begun: boolean }> {
    const inserted = await this.#query<RunRow>(
      "tsdev-begin",
      `INSERT INTO tsdev.runs (id, workflow, version, ir, input, scope, input_digest, traceparent, owner, lease_until)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10 * interval '1 ms')
       ON CONFLICT (id) DO NOTHING RETURNING *`,
      [
        run.id,
        run.workflow,
        run.version,
        JSON.stringify(run.ir),
        encode(run.input),
        encode(run.scope),
        run.inputDigest,
        run.traceparent,
        this.#owner,
        this.#leaseMs,
      ],
      beginPatienceMs,
    );
    const row = inserted[0] ?? (await this.#row(run.id));
    if (!row) throw new LeaseLost(run.id);
    // Ours also when an earlier try was committed and its answer lost.
    return { run: toRun(row), begun: row.owner === this.#owner && row.state === "running" };
  }

  async find(runId: string): Promise<StoredRun | undefined> {
    const row = await this.#row(runId);
    return row && toRun(row);
  }

  async steps(runId: string): Promise<Map<string, unknown>> {
    const rows = await this.#query<{ node: string; output: unknown }>(
      "tsdev-steps",
      "SELECT node, output FROM tsdev.steps WHERE run_id = $1 ORDER BY finished_at",
      [runId],
    );
    return new Map(rows.map(({ node, output }) => [node, decode(output)]));
  }

  finishStep(step: FinishedStep): Promise<void> {
    return this.#steps.add(step);
  }

  async finishRun(run: FinishedRun): Promise<void> {
    const output = run.state === "done" ? encode(run.output) : null;
    const error = run.state === "failed" ? JSON.stringify(run.error) : null;
    const updated = await this.#query(
      "tsdev-finish",
      `UPDATE tsdev.runs SET state = $3, output = $4, error = $5, finished_at = now()
        WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING id`,
      [run.runId, run.epoch, run.state, output, error],
    );
    if (updated.length > 0) return;
    const row = await this.#row(run.runId);
    if (row?.lease_epoch !== run.epoch || row.state !== run.state) throw new LeaseLost(run.runId);
  }

  async expired(workflows: readonly string[], except: readonly string[], limit: number): Promise<StoredRun[]> {
    const rows = await this.#query<RunRow>(
      "tsdev-expired",
      `SELECT * FROM tsdev.runs WHERE state = 'running' AND lease_until < now()
          AND workflow = ANY ($1::text[]) AND id <> ALL ($2::text[]) ORDER BY lease_until LIMIT $3`,
      [workflows, except, limit],
    );
    return rows.map(toRun);
  }

  async claim(runId: string): Promise<StoredRun | undefined> {
    const rows = await this.#query<RunRow>(
      "tsdev-claim",
      `UPDATE tsdev.runs SET owner = $2, lease_epoch = lease_epoch + 1, lease_until = now() + $3 * interval '1 ms'
        WHERE id = $1 AND state = 'running' AND lease_until < now() RETURNING *`,
      [runId, this.#owner, this.#leaseMs],
    );
    return rows[0] && toRun(rows[0]);
  }

  async renew(leases: readonly Lease[]): Promise<Set<string>> {
    return this.#prolong(leases, this.#leaseMs);
  }

  async release(leases: readonly Lease[]): Promise<void> {
    await this.#prolong(leases, -1);
  }

  async check(): Promise<void> {
    try {
      await untraced(() => this.#pool.query("SELECT 1"));
    } catch (error) {
      throw new TsdevError("unavailable", {
        message: "the workflow engine's database does not answer",
        fix: "look at the database; the engine connects again by itself",
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  // Locks in the order of ids, as the insert of steps does, so that the two never wait for each other in a circle.
  async #prolong(leases: readonly Lease[], byMs: number): Promise<Set<string>> {
    const rows = await this.#query<{ id: string }>(
      "tsdev-renew",
      `WITH held AS (
         SELECT r.id FROM tsdev.runs r
           JOIN unnest($1::text[], $2::int[]) u (id, epoch) ON r.id = u.id AND r.lease_epoch = u.epoch
          WHERE r.state = 'running' ORDER BY r.id FOR NO KEY UPDATE OF r)
       UPDATE tsdev.runs r SET lease_until = now() + $3 * interval '1 ms' FROM held WHERE r.id = held.id
       RETURNING r.id`,
      [leases.map(({ runId }) => runId), leases.map(({ epoch }) => epoch), byMs],
    );
    return new Set(rows.map(({ id }) => id));
  }

  async #insert(steps: readonly FinishedStep[]): Promise<readonly (Error | undefined)[]> {
    const ids = steps.map(({ runId }) => runId);
    const nodes = steps.map(({ node }) => node);
    const epochs = steps.map(({ epoch }) => epoch);
    type Row = { run_id: string; node: string };
    const key = (runId: string, node: string) => `${runId}\n${node}`;
    const outputs = steps.map(({ output }) => encode(output));
    const written = new Set<string>();
    const take = (rows: Row[]) => {
      for (const row of rows) written.add(key(row.run_id, row.node));
    };
    take(await this.#query<Row>("tsdev-insert-steps", insertSteps, [ids, nodes, epochs, outputs]));
    if (written.size < steps.length) take(await this.#query<Row>("tsdev-read-steps", readSteps, [ids, nodes, epochs]));
    return steps.map((step) => (written.has(key(step.runId, step.node)) ? undefined : new LeaseLost(step.runId)));
  }

  async #row(runId: string): Promise<RunRow | undefined> {
    const rows = await this.#query<RunRow>("tsdev-run", "SELECT * FROM tsdev.runs WHERE id = $1", [runId]);
    return rows[0];
  }

  /** Every statement here may be run twice with the same end, so all of them are tried again. */
  #query<R extends QueryResultRow>(name: string, text: string, values: unknown[], forMs = patienceMs): Promise<R[]> {
    return untraced(() => patiently(async () => (await this.#pool.query<R>({ name, text, values })).rows, forMs));
  }
}

function untraced<T>(fn: () => Promise<T>): Promise<T> {
  return context.with(context.active().setValue(suppressTracing, true), fn);
}

async function patiently<T>(fn: () => Promise<T>, forMs: number): Promise<T> {
  const end = Date.now() + forMs;
  for (let wait = 20; ; wait = Math.min(wait * 2, 1_000)) {
    try {
      return await fn();
    } catch (error) {
      if (!isAway(error) || Date.now() + wait > end) throw error;
      await sleep(wait);
    }
  }
}

/** `pg` gives some lost connections no code. */
function isAway(error: unknown): boolean {
  if (isTransient(error)) return true;
  return (
    error instanceof Error && /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)
  );
}

function toRun(row: RunRow): StoredRun {
  return {
    id: row.id,
    workflow: row.workflow,
    version: row.version,
    ir: freezeIr(row.ir),
    input: decode(row.input),
    scope: decode(row.scope) as Readonly<Record<string, unknown>>,
    inputDigest: row.input_digest,
    traceparent: row.traceparent,
    state: row.state,
    epoch: row.lease_epoch,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    ...(row.output === null ? {} : { output: decode(row.output) }),
    ...(row.error === null ? {} : { error: row.error }),
  };
}
