// Run row: a row of `tsdev.runs` as a stored run, and what a holder of it is asked to do.
import type { ErrorShape } from "../../errors.ts";
import { freezeIr, type WorkflowIr } from "../../ir/ir.ts";
import type { Principal } from "../../procedures/procedure.ts";
import type { RunOrigin, RunState, Wait } from "../engine.ts";
import { reviveWait } from "../run-event.ts";
import type { Standing, StoredRun } from "../run-store.ts";
import { decode } from "./codec.ts";
import type { Connection } from "./connection.ts";

/** The columns, JSON as text. */
export interface RunRow {
  id: string;
  workflow: string;
  version: string;
  ir: string;
  input: string;
  scope: string;
  input_digest: string;
  traceparent: string | null;
  origin: string;
  principal: string | null;
  parent: string | null;
  slot_key: string | null;
  has_slot: boolean;
  state: RunState;
  owner: string;
  lease_epoch: number;
  due_at: Date | null;
  request: "cancel" | "pause" | null;
  request_reason: string | null;
  signals: number;
  /** bigint comes as text. */
  event_floor: string;
  waits: string | null;
  started_at: Date;
  finished_at: Date | null;
  output: string | null;
  error: string | null;
}

export function toRun(row: RunRow): StoredRun {
  return {
    id: row.id,
    workflow: row.workflow,
    version: row.version,
    ir: irOf(row),
    input: decode(row.input),
    scope: decode(row.scope) as Readonly<Record<string, unknown>>,
    inputDigest: row.input_digest,
    traceparent: row.traceparent,
    origin: JSON.parse(row.origin) as RunOrigin,
    principal: row.principal === null ? null : (JSON.parse(row.principal) as Principal),
    parent: row.parent,
    slotKey: row.slot_key,
    state: row.state,
    epoch: row.lease_epoch,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    waits: row.waits === null ? [] : (JSON.parse(row.waits) as Wait[]).map(reviveWait),
    ...toStanding(row),
    eventFloor: Number(row.event_floor),
    ...(row.output === null ? {} : { output: decode(row.output) }),
    ...(row.error === null ? {} : { error: JSON.parse(row.error) as ErrorShape }),
  };
}

/** The columns that say how a run stands. */
export type StandingRow = Pick<RunRow, "signals" | "request" | "request_reason">;

export function toStanding({ signals, request, request_reason }: StandingRow): Standing {
  return { signals, request: request === null ? null : { kind: request, reason: request_reason ?? "" } };
}

export async function findRow(db: Connection, runId: string): Promise<RunRow | undefined> {
  const rows = await db.rows<RunRow>("run", "SELECT * FROM tsdev.runs WHERE id = $1", [runId]);
  return rows[0];
}

/** Many runs have one IR: it is parsed once for each text. */
const irs = new Map<string, WorkflowIr>();
const maxIrs = 1_000;

function irOf(row: RunRow): WorkflowIr {
  const key = `${row.workflow}@${row.version}\n${row.ir.length}`;
  const known = irs.get(key);
  if (known) return known;
  const ir = freezeIr(JSON.parse(row.ir) as WorkflowIr);
  if (irs.size >= maxIrs) irs.clear();
  irs.set(key, ir);
  return ir;
}
