// Journal: the rows of runs, as they are appended and as they are read. A row is written only under the epoch that its
// run has, and one that is there already by an earlier try of the same holder counts as written.
import { eventOf, type RunEvent } from "../run-event.ts";
import { type HistoryRow, type Lease, LeaseLost, type Row, type RowType } from "../run-store.ts";
import { encode, StoredText } from "./codec.ts";
import type { Connection } from "./connection.ts";
import * as sql from "./statements.ts";

export interface Append {
  readonly lease: Lease;
  readonly row: Row;
}

/** SQLSTATE: nothing of the statement was done. */
const uniqueViolation = "23505";
/** Whether there is an output, for who does not need it. */
const presence = "CASE WHEN output IS NOT NULL THEN '{}' END";
/**
 * Null for by far the most rows, so that it need not be sent: reading ten thousand of them costs a third less. Of the data
 * of a finished step nothing decides how the run goes on.
 */
const exceptFinished = (column: string) => `CASE WHEN type <> 'step.finished' THEN ${column} END`;
const noData: Readonly<Record<string, unknown>> = Object.freeze({});

export async function appendRows(db: Connection, items: readonly Append[]): Promise<readonly (undefined | Error)[]> {
  const columns = rowColumns(items);
  if ((await insertRows(db, columns)) === items.length) return [];
  const written = await writtenRows(db, columns);
  return items.map(({ lease, row }) =>
    written.has(rowKey(lease.runId, row.seq)) ? undefined : new LeaseLost(lease.runId),
  );
}

/** How many rows were inserted: those that are there already, or whose holder has lost its run, are not. */
async function insertRows(db: Connection, columns: unknown[][]): Promise<number | null> {
  try {
    const inserted =
      columns[0]!.length === 1
        ? await db.result("append-one", sql.appendRow, columns.flat())
        : await db.result("append", sql.appendRows, columns);
    return inserted.rowCount;
  } catch (error) {
    if ((error as { code?: unknown }).code !== uniqueViolation) throw error;
    return (await db.result("append-missing", sql.appendMissingRows, columns)).rowCount;
  }
}

/** Keys of those of these rows that this holder has written, as `rowKey` makes them. */
export async function writtenRows(db: Connection, [runIds, epochs, seqs]: readonly unknown[][]): Promise<Set<string>> {
  const rows = await db.rows<{ run_id: string; seq: number }>("read", sql.readRows, [runIds, epochs, seqs]);
  return new Set(rows.map(({ run_id, seq }) => rowKey(run_id, seq)));
}

export const rowKey = (runId: string, seq: number) => `${runId}\n${seq}`;

/** What the statements unnest as a row's columns. */
export function rowColumns(items: readonly Append[]): unknown[][] {
  const [ids, epochs, seqs, types, nodes, data, outputs]: unknown[][] = [[], [], [], [], [], [], []];
  for (const { lease, row } of items) {
    ids!.push(lease.runId);
    epochs!.push(lease.epoch);
    seqs!.push(row.seq);
    types!.push(row.type);
    nodes!.push(row.node);
    data!.push(row.data === undefined ? null : JSON.stringify(row.data));
    outputs!.push("output" in row ? encode(row.output) : null);
  }
  return [ids!, epochs!, seqs!, types!, nodes!, data!, outputs!];
}

export async function readHistory(
  db: Connection,
  runIds: readonly string[],
  outputs: boolean,
): Promise<Map<string, HistoryRow[]>> {
  const one = runIds.length === 1;
  const rows = await db.arrays(
    `${outputs ? "history" : "paths"}-of-${one ? "one" : "many"}`,
    `SELECT seq, node, ${outputs ? "output" : presence}, ${exceptFinished("type")}, ${exceptFinished("data")}${one ? "" : ", run_id"}
       FROM tsdev.journal
      WHERE ${one ? "run_id = $1 ORDER BY seq" : "run_id = ANY ($1::text[]) ORDER BY run_id, seq"}`,
    [one ? runIds[0] : runIds],
  );
  if (one) return new Map([[runIds[0]!, rows.map(toHistoryRow)]]);
  const all = new Map<string, HistoryRow[]>(runIds.map((id) => [id, []]));
  for (const row of rows) all.get(row[5] as string)!.push(toHistoryRow(row));
  return all;
}

function toHistoryRow([seq, node, output, type, data]: unknown[]): HistoryRow {
  return {
    seq: seq as number,
    type: (type as RowType | null) ?? "step.finished",
    node: node as string | null,
    data: data === null ? noData : JSON.parse(data as string),
    output: output === null ? undefined : new StoredText(output as string),
  };
}

export async function readEvents(db: Connection, runId: string, after: number, limit: number): Promise<RunEvent[]> {
  type EventRow = { seq: number; type: RowType; node: string | null; data: string | null; at: Date };
  const rows = await db.rows<EventRow>(
    "events",
    "SELECT seq, type, node, data, at FROM tsdev.journal WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    [runId, after, limit],
  );
  return rows.map(({ seq, at, type, node, data }) =>
    eventOf({ runId, seq, at, type, node, data: data === null ? noData : JSON.parse(data) }),
  );
}
