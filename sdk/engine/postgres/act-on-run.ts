// Acts on a run from outside: decided and done in one transaction in which the run's row is locked. Invariants:
// 1. The lock of the slot comes before the lock of the row, as at the end of a run.
// 2. Rows are written under the next epoch, so that a holder that is only thought dead writes no more.
// 3. Every act raises `signals`.
import { endStates } from "../engine.ts";
import type { Act, ActView } from "../run-store.ts";
import type { Connection } from "./connection.ts";
import type { Notices } from "./notices.ts";
import { findRow, type RunRow, toRun } from "./run-row.ts";
import type { Slots } from "./slots.ts";
import { toAnswer, toOpenWait } from "./waits.ts";

export async function actOnRun<T>(
  db: Connection,
  slots: Slots,
  notices: Notices,
  runId: string,
  decide: (view: ActView) => { act?: Act; result: T },
): Promise<T | undefined> {
  const found = await findRow(db, runId);
  if (!found) return undefined;
  const outcome = await db.transaction(async (client) => {
    // Before the row, as the end of a run does.
    if (found.slot_key !== null) await slots.lock(client, found.slot_key);
    const { rows } = await client.query<RunRow & { held: boolean }>(
      "SELECT *, state = 'running' AND due_at > now() AS held FROM tsdev.runs WHERE id = $1 FOR NO KEY UPDATE",
      [runId],
    );
    const row = rows[0];
    if (!row) return undefined;
    const journal = await client.query("SELECT max(seq) AS seq FROM tsdev.journal WHERE run_id = $1", [runId]);
    const waits = await client.query("SELECT node, kind, event, key, child FROM tsdev.waits WHERE run_id = $1", [
      runId,
    ]);
    const answers = await client.query("SELECT * FROM tsdev.answers WHERE run_id = $1", [runId]);
    const seq = journal.rows[0].seq as number;
    const run = toRun(row);
    const { act, result } = decide({
      run,
      seq,
      held: row.held,
      openWaits: waits.rows.map(toOpenWait),
      answers: new Map(answers.rows.map((answer) => [answer.node as string, toAnswer(answer)])),
    });
    if (!act) return { result };
    const epoch = row.lease_epoch + (act.rows ? 1 : 0);
    for (const [index, one] of (act.rows ?? []).entries()) {
      await client.query(
        "INSERT INTO tsdev.journal (run_id, seq, epoch, type, node, data) VALUES ($1, $2, $3, $4, $5, $6)",
        [runId, seq + 1 + index, epoch, one.type, one.node, one.data ? JSON.stringify(one.data) : null],
      );
    }
    if (act.answer) {
      const { approved, by, comment } = act.answer.answer;
      await client.query(
        "INSERT INTO tsdev.answers (run_id, node, approved, by, comment) VALUES ($1, $2, $3, $4, $5)",
        [runId, act.answer.node, approved, by, comment ?? null],
      );
    }
    const state = act.state ?? row.state;
    const ended = endStates.has(state);
    const request = act.request === undefined ? run.request : act.request;
    await client.query(
      `UPDATE tsdev.runs SET state = $2, lease_epoch = $3, signals = signals + 1, request = $4, request_reason = $5,
              due_at = CASE WHEN $6 THEN now() WHEN $7 THEN NULL ELSE due_at END,
              finished_at = CASE WHEN $8 THEN coalesce(finished_at, now()) END, error = $9, has_slot = has_slot AND NOT $8
        WHERE id = $1`,
      [
        runId,
        state,
        epoch,
        request?.kind ?? null,
        request?.reason ?? null,
        act.due === true,
        ended || state === "paused",
        ended,
        ended ? (act.error ? JSON.stringify(act.error) : row.error) : null,
      ],
    );
    if (ended) {
      await client.query("DELETE FROM tsdev.waits WHERE run_id = $1", [runId]);
      await client.query("DELETE FROM tsdev.answers WHERE run_id = $1", [runId]);
      if (row.slot_key !== null) await slots.free(client, row.slot_key);
    }
    return { result, due: act.due === true };
  });
  if (!outcome) return undefined;
  notices.tell(`run:${runId}`);
  if (outcome.due || found.slot_key !== null) notices.tell("due");
  return outcome.result;
}
