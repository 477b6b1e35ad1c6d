// Changes runs: what the holders of many runs change at once, each with its rows, or refused with nothing written.
import { endStates } from "../engine.ts";
import { type Change, type Lease, LeaseLost } from "../run-store.ts";
import { encode } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { rowColumns, rowKey, writtenRows } from "./journal.ts";
import type { Notices } from "./notices.ts";
import { findRow } from "./run-row.ts";
import type { Slots } from "./slots.ts";
import * as sql from "./statements.ts";

export interface Changing {
  readonly lease: Lease;
  readonly change: Change;
}

/** Passes on the slots of those that ended. */
export async function changeRuns(
  db: Connection,
  slots: Slots,
  notices: Notices,
  items: readonly Changing[],
): Promise<readonly ("done" | "signaled" | Error)[]> {
  const rows = items.flatMap(({ lease, change }) => change.rows.map((row) => ({ lease, row })));
  const closed = items.flatMap(({ lease, change }) => (change.closed ?? []).map((node) => ({ lease, node })));
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
  const columns = rowColumns(rows);
  const values = [
    ...columns,
    items.map(({ lease }) => lease.runId),
    items.map(({ lease }) => lease.epoch),
    items.map(({ change }) => change.ifSignals ?? null),
    items.map(({ change }) => change.state ?? null),
    items.map(({ change }) => change.dueAt ?? null),
    items.map(({ change }) => json(change.waits)),
    items.map(({ change }) => ("output" in change ? encode(change.output) : null)),
    items.map(({ change }) => json(change.error)),
    closed.map(({ lease }) => lease.runId),
    closed.map(({ node }) => node),
  ];
  const done = await db.rows<{ id: string }>("change", sql.changeRuns, values);
  const ids = new Set(done.map(({ id }) => id));
  const ended = items.filter(
    ({ lease, change }) => ids.has(lease.runId) && change.state && endStates.has(change.state),
  );
  if (await slots.freeOf(ended.map(({ lease }) => lease.runId))) notices.tell("due");
  if (ids.size === items.length) return items.map(() => "done");
  const written = await writtenRows(db, columns);
  return Promise.all(
    items.map(async ({ lease, change }) => {
      const last = change.rows.at(-1)!;
      if (ids.has(lease.runId) || written.has(rowKey(lease.runId, last.seq))) return "done";
      const row = await findRow(db, lease.runId);
      const held = row?.lease_epoch === lease.epoch && row.state === "running";
      return held && change.ifSignals !== undefined ? "signaled" : new LeaseLost(lease.runId);
    }),
  );
}
