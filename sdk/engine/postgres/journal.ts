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
/** So many rows are read as one, which keeps its text far below the 1 GiB that Postgres allows. */
const chunkRows = 1_000;
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

/**
 * Rows of finished steps are by far the most: they come as two texts a chunk, a line each, and not as rows, which costs
 * less. JSON as the codec writes it has no line break, and a path that has one is left to the others. Their numbers are
 * those that the others leave, and of their data nothing decides how the run goes on.
 */
const historyOf = (outputs: boolean) => `
  SELECT r.id, greatest(1, c.n * ${chunkRows}), a.*
    FROM unnest($1::text[]) r (id)
   CROSS JOIN LATERAL generate_series(0, (SELECT max(seq) FROM tsdev.journal WHERE run_id = r.id) / ${chunkRows}) c (n)
   CROSS JOIN LATERAL (
     SELECT string_agg(node, E'\\n') FILTER (WHERE finished),
            ${outputs ? "string_agg(output, E'\\n') FILTER (WHERE finished)" : "NULL"},
            json_agg(json_build_array(seq, type, node, data, ${outputs ? "output" : presence}))
              FILTER (WHERE NOT finished)
       FROM (SELECT seq, type, node, data, output::text,
                    type = 'step.finished' AND output IS NOT NULL AND strpos(node, E'\\n') = 0 AS finished
               FROM tsdev.journal
              WHERE run_id = r.id AND seq >= c.n * ${chunkRows} AND seq < (c.n + 1) * ${chunkRows}
              ORDER BY seq) j) a
   ORDER BY r.id, c.n`;
const statements = { history: historyOf(true), paths: historyOf(false) };
const present = new StoredText("{}");

export async function readHistory(
  db: Connection,
  runIds: readonly string[],
  outputs: boolean,
): Promise<Map<string, HistoryRow[]>> {
  const name = outputs ? "history" : "paths";
  const chunks = (await db.arrays(name, statements[name], [runIds])) as Chunk[];
  const all = new Map<string, HistoryRow[]>(runIds.map((id) => [id, []]));
  for (const chunk of chunks) addRows(all.get(chunk[0])!, chunk);
  return all;
}

/** The run, the number of the first row, and of finished steps the paths and the outputs, a line each, and the others. */
type Chunk = [string, number, string | null, string | null, string | null];

function addRows(rows: HistoryRow[], [, first, pathLines, outputLines, otherRows]: Chunk): void {
  const others: unknown[][] = otherRows === null ? [] : JSON.parse(otherRows);
  const paths = pathLines?.split("\n") ?? [];
  const outputs = outputLines?.split("\n");
  const count = paths.length + others.length;
  for (let index = 0, other = 0; index < count; index++) {
    const seq = first + index;
    if (others[other]?.[0] === seq) rows.push(toHistoryRow(others[other++]!));
    else {
      const at = index - other;
      const output = outputs ? new StoredText(outputs[at]!) : present;
      rows.push({ seq, type: "step.finished", node: paths[at]!, data: noData, output });
    }
  }
}

function toHistoryRow([seq, type, node, data, output]: unknown[]): HistoryRow {
  return {
    seq: seq as number,
    type: type as RowType,
    node: node as string | null,
    data: (data as HistoryRow["data"] | null) ?? noData,
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
