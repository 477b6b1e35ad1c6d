// Begins runs: many at once with their first journal rows, each once for its id.
import type { NewRun } from "../run-store.ts";
import { encode } from "./codec.ts";
import type { Connection } from "./connection.ts";
import * as sql from "./statements.ts";

export interface Beginning {
  readonly run: NewRun;
  readonly state: "running" | "queued";
  readonly dueMs: number;
  readonly eventFloor: number | undefined;
}

/** Null: a run with that id is there already. */
export type Begun = { readonly startedAt: Date; readonly eventFloor: number } | null;

/** How long a new run's statement is tried again, milliseconds: its caller waits and can ask again. */
const patienceMs = 5_000;

export async function beginRuns(db: Connection, owner: string, items: readonly Beginning[]): Promise<readonly Begun[]> {
  const column = (read: (run: NewRun) => string | null) => items.map(({ run }) => read(run));
  type BegunRow = { id: string; state: string; started_at: Date; event_floor: string };
  const rows = await db.rows<BegunRow>(
    "begin",
    sql.beginRuns,
    [
      column((run) => run.id),
      column((run) => run.workflow),
      column((run) => run.version),
      column((run) => JSON.stringify(run.ir)),
      column((run) => encode(run.input)),
      column((run) => encode(run.scope)),
      column((run) => run.inputDigest),
      column((run) => run.traceparent),
      column((run) => JSON.stringify(run.origin)),
      column((run) => run.origin.name ?? null),
      column((run) => run.principal && JSON.stringify(run.principal)),
      column((run) => run.parent),
      column((run) => run.slotKey),
      items.map(({ state }) => state),
      owner,
      items.map(({ dueMs }) => dueMs),
      items.map(({ eventFloor }) => eventFloor ?? null),
    ],
    patienceMs,
  );
  const begun = new Map(rows.map((row) => [row.id, row]));
  return items.map(({ run }) => {
    const row = begun.get(run.id);
    return row ? { startedAt: row.started_at, eventFloor: Number(row.event_floor) } : null;
  });
}
