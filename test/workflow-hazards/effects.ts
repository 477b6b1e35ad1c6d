// Effects: what steps did, as rows of a Postgres of its own that nothing happens to, so that they can be counted.
import pg from "pg";
import type { EffectRow } from "./workload.ts";

export interface Effect {
  readonly runId: string;
  readonly path: string;
  readonly kind: "do" | "undo";
  readonly key: string;
  readonly attempt: number;
  readonly worker: string;
  /** When the step's handler was entered, milliseconds of a clock that does not jump. */
  readonly enteredAt: number;
}

/** A worker that did nothing for a while: it was frozen, or its machine was busy. Milliseconds. */
export interface Outage {
  readonly worker: string;
  readonly from: number;
  readonly to: number;
}

/** The time by a clock that does not jump, milliseconds. */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

export class Effects {
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({ connectionString: url, max: 4 });
    this.#pool.on("error", () => {});
  }

  async prepare(): Promise<void> {
    await this.#pool.query(`
      CREATE TABLE effects (run_id text, path text, kind text, key text, attempt int, worker text, entered_at float8);
      CREATE TABLE outages (worker text, since float8, until float8)`);
  }

  async leave(worker: string, { kind, context }: EffectRow): Promise<void> {
    const enteredAt = steadyNow();
    const { runId, node, idempotencyKey, attempt } = context;
    await this.#pool.query({
      name: "leave",
      text: "INSERT INTO effects VALUES ($1, $2, $3, $4, $5, $6, $7)",
      values: [runId, node, kind, idempotencyKey, attempt, worker, enteredAt],
    });
  }

  async note({ worker, from, to }: Outage): Promise<void> {
    await this.#pool.query("INSERT INTO outages VALUES ($1, $2, $3)", [worker, from, to]);
  }

  async all(): Promise<Effect[]> {
    const { rows } = await this.#pool.query(
      `SELECT run_id AS "runId", path, kind, key, attempt, worker, entered_at AS "enteredAt" FROM effects ORDER BY entered_at`,
    );
    return rows;
  }

  async outages(): Promise<Outage[]> {
    const { rows } = await this.#pool.query(`SELECT worker, since AS "from", until AS "to" FROM outages`);
    return rows;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
