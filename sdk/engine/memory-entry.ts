// Memory entry: a run with its rows, waits and answers, as the memory store keeps it.
import { eventOf, type RunEvent } from "./run-event.ts";
import type { ActRequest, Answer, HistoryRow, NewRun, OpenWait, Row, StoredRun } from "./run-store.ts";

type KeptRow = Omit<Row, "seq"> & { seq: number; epoch: number; at: number };

export interface Entry {
  run: StoredRun;
  rows: KeptRow[];
  /** By the monotonic clock, milliseconds; null: never. */
  dueAt: number | null;
  hasSlot: boolean;
  request: ActRequest | null;
  waits: Map<string, OpenWait>;
  answers: Map<string, Answer>;
}

const noData: Readonly<Record<string, unknown>> = Object.freeze({});

export function viewOf(entry: Entry): StoredRun {
  return { ...entry.run, request: entry.request };
}

/** `at` is the store's time, milliseconds. */
export function writeRows({ run, rows }: Entry, added: readonly Row[], at: number): void {
  for (const row of added) rows.push({ ...row, epoch: run.epoch, at });
}

/** The data of the row with which a run starts. */
export function startOf({ workflow, version, origin }: NewRun): Readonly<Record<string, unknown>> {
  return { workflow, version, origin };
}

export function toHistoryRow(row: KeptRow): HistoryRow {
  const { seq, type, node, data = noData } = row;
  return { seq, type, node, data, output: "output" in row ? { read: () => row.output } : undefined };
}

export function toEvent(runId: string, { seq, type, node, data = noData, at }: KeptRow): RunEvent {
  return eventOf({ runId, seq, at: new Date(at), type, node, data });
}
