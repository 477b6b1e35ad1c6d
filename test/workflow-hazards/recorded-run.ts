// Recorded run: what the journal, the table of runs and the effects say of one run, for those who check it.
import type pg from "pg";
import { decode } from "../../sdk/engine/postgres/codec.ts";
import type { Effect } from "./effects.ts";

export interface Row {
  readonly seq: number;
  readonly epoch: number;
  readonly type: string;
  readonly node: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: the fields of every type of row
  readonly data: any;
  readonly output: string | null;
  /** Milliseconds. */
  readonly at: number;
}

export interface Run {
  readonly id: string;
  readonly workflow: string;
  readonly state: string;
  readonly parent: string | null;
  readonly slotKey: string | null;
  readonly input: { id: string; seed: number; tenant: string };
  readonly output: Record<string, unknown> | undefined;
  readonly error: { code: string; message: string } | null;
  readonly journal: readonly Row[];
  readonly effects: readonly Effect[];
}

/** Tells a violation. */
export type Say = (what: string) => undefined;

/** Two clocks of one machine differ by no more, milliseconds. */
export const toleranceMs = 5;
/** True for the row of a failure whose run may still be canceled, so that what it had finished is undone. */
export function isInterruption({ type, data }: Row): boolean {
  return type === "run.failed" && data.error.code === "interrupted";
}

/** The types of rows that end a run. */
export const ends: ReadonlySet<string> = new Set(["run.done", "run.failed", "run.canceled"]);

export async function load(pool: pg.Pool, effects: readonly Effect[]): Promise<Map<string, Run>> {
  const journals = await pool.query(
    `SELECT run_id, seq, epoch, type, node, data, output::text AS output, extract(epoch FROM at)::float8 * 1000 AS at
       FROM tsdev.journal ORDER BY run_id, seq`,
  );
  const rowsOf = Map.groupBy(journals.rows as (Row & { run_id: string })[], (row) => row.run_id);
  const effectsOf = Map.groupBy(effects, ({ runId }) => runId);
  const { rows } = await pool.query(
    `SELECT id, workflow, state, parent, slot_key AS "slotKey", input::text AS input, output::text AS output, error FROM tsdev.runs`,
  );
  return new Map(
    rows.map((row) => [
      row.id,
      {
        ...row,
        input: decode(row.input),
        output: row.output === null ? undefined : decode(row.output),
        journal: rowsOf.get(row.id) ?? [],
        effects: effectsOf.get(row.id) ?? [],
      },
    ]),
  );
}

/** The id of the node at the path. */
export function idOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Since its last retry, so many workers died in it one after the other with nothing finished in between. */
export function deathsInARow({ journal }: Run): number {
  let deaths = 0;
  let most = 0;
  for (const { type, data } of journal) {
    if (type === "run.retried") most = 0;
    if (type === "run.resumed" && data?.died) most = Math.max(most, ++deaths);
    else if (!["run.resumed", "step.started", "attempt.failed"].includes(type)) deaths = 0;
  }
  return most;
}

/** Its rows and effects in the order of time, one a line. */
export function printed({ journal, effects, error }: Run): string[] {
  const rows = journal.map(({ seq, epoch, type, node, data, at }) => ({
    at,
    text: `${seq} e${epoch} ${type} ${node ?? ""} ${JSON.stringify(data)?.slice(0, 160) ?? ""}`,
  }));
  const done = effects.map(({ enteredAt, kind, path, attempt, worker, key }) => ({
    at: enteredAt,
    text: `   ${kind} ${path} attempt ${attempt} by ${worker} key ${key.slice(0, 6)}`,
  }));
  const all = [...rows, ...done]
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, text }) => `${new Date(at).toISOString().slice(11)} ${text}`);
  return error ? [...all, JSON.stringify(error)] : all;
}
