// Fixture: the part of an engine that triggers use, where begun runs are only written down: in memory, or on a Postgres
// that several processes share. It lets a test see each start, stop it half-way, and move the clock.
import pg from "pg";
import type { Engine, RunOrigin, StartOptions } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";

export interface BegunRun {
  readonly runId: string;
  readonly workflow: string;
  readonly input: unknown;
  readonly origin: RunOrigin | undefined;
  readonly options: StartOptions;
  /** What the clock said. */
  readonly at: Date;
  /** How often it was asked to begin. */
  starts: number;
}

export class BegunRuns {
  readonly runs = new Map<string, BegunRun>();
  readonly cursors = new Map<string, string>();
  now: () => Date = () => new Date();

  /** An engine of its own for each process that the test plays; all share what is written down. */
  engine(before: (what: "start" | "moveCursor" | "now", id: string) => Promise<void> | void = () => {}): Engine {
    return {
      durable: false,
      start: async (workflow: AnyWorkflow, input: unknown, options: StartOptions = {}) => {
        const runId = options.runId!;
        await before("start", runId);
        // As the engine does: what does not fit the contract is never begun.
        const parsed = workflow.input.safeParse(input);
        if (!parsed.success) {
          throw new TsdevError("invalid_input", { message: "the input does not fit", fix: "send what fits" });
        }
        const there = this.runs.get(runId);
        if (there) there.starts++;
        else {
          const { name } = workflow;
          const { origin } = options;
          this.runs.set(runId, { runId, workflow: name, input, origin, options, at: this.now(), starts: 1 });
        }
        return { runId };
      },
      run: async (runId: string) => this.runs.get(runId),
      cursor: async (name: string) => this.cursors.get(name) ?? null,
      moveCursor: async (name: string, from: string | null, to: string) => {
        await before("moveCursor", name);
        if ((this.cursors.get(name) ?? null) !== from) return false;
        this.cursors.set(name, to);
        return true;
      },
      now: async () => {
        await before("now", "");
        return this.now();
      },
    } as unknown as Engine;
  }
}

/** The same on Postgres. Its clock runs `speed` times as fast as the server's, from the moment its tables were made. */
export async function begunRunsOn(url: string, speed = 1): Promise<{ engine: Engine; pool: pg.Pool }> {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on("error", () => {});
  await pool.query(`SELECT pg_advisory_lock(1);
    CREATE TABLE IF NOT EXISTS begun (run_id text PRIMARY KEY, input jsonb, at timestamptz NOT NULL, starts int DEFAULT 1);
    CREATE TABLE IF NOT EXISTS cursors (name text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE IF NOT EXISTS clock (began timestamptz NOT NULL);
    INSERT INTO clock SELECT clock_timestamp() WHERE NOT EXISTS (SELECT FROM clock);
    SELECT pg_advisory_unlock(1);`);
  const now = `(SELECT began + (clock_timestamp() - began) * ${speed} FROM clock)`;
  const engine = {
    durable: true,
    start: async (_workflow: AnyWorkflow, input: unknown, { runId }: StartOptions = {}) => {
      await pool.query(
        `INSERT INTO begun (run_id, input, at) VALUES ($1, $2, ${now})
         ON CONFLICT (run_id) DO UPDATE SET starts = begun.starts + 1`,
        [runId, JSON.stringify(input)],
      );
      return { runId };
    },
    run: async (runId: string) => (await pool.query("SELECT run_id FROM begun WHERE run_id = $1", [runId])).rows[0],
    cursor: async (name: string) =>
      (await pool.query("SELECT value FROM cursors WHERE name = $1", [name])).rows[0]?.value ?? null,
    moveCursor: async (name: string, from: string | null, to: string) => {
      const { rowCount } = await (from === null
        ? pool.query("INSERT INTO cursors VALUES ($1, $2) ON CONFLICT DO NOTHING", [name, to])
        : pool.query("UPDATE cursors SET value = $2 WHERE name = $1 AND value = $3", [name, to, from]));
      return rowCount === 1;
    },
    now: async () => (await pool.query(`SELECT ${now} AS now`)).rows[0].now,
  };
  return { engine: engine as unknown as Engine, pool };
}
