// Run status: a stored run and its journal as `engine.run` shows it.
import type { RunStatus } from "./engine.ts";
import { History } from "./history.ts";
import type { HistoryRow, StoredRun } from "./run-store.ts";

export function statusOf(run: StoredRun, rows: readonly HistoryRow[]): RunStatus {
  return {
    runId: run.id,
    workflow: run.workflow,
    version: run.version,
    state: run.state,
    origin: run.origin,
    ...(run.principal === null ? {} : { startedBy: run.principal.id }),
    startedAt: run.startedAt,
    finishedAt: run.finishedAt,
    finishedSteps: new History(rows, run.ir).finished(),
    waits: run.state === "waiting" ? [...run.waits] : [],
    ...(run.state === "done" ? { output: run.output } : {}),
    ...(run.error === undefined ? {} : { error: run.error }),
  };
}
