// Compensation: undoes the finished steps of a run that failed or was canceled, the last one first, each under retry. One
// that cannot be undone is named and does not keep the others from being undone.
import { TsdevError } from "../errors.ts";
import type { RetryIr } from "../ir/ir.ts";
import { createLog } from "../log.ts";
import { effectivePolicies } from "../policies/effective-policies.ts";
import { callIn } from "../procedures/call.ts";
import {
  ATTR_NODE_ID,
  ATTR_NODE_OP,
  ATTR_NODE_PROCEDURE,
  ATTR_WORKFLOW_NAME,
  ATTR_WORKFLOW_RUN_ID,
  spanNames,
} from "../semantic-conventions.ts";
import { inSpan } from "../spans.ts";
import type { Compensable, Drive } from "./drive.ts";
import { keyOf, shapeOf } from "./execute-attempts.ts";
import { type RunScope, readInput } from "./run-scope.ts";

/** Where the procedure that undoes has no retry of its own: whatever the error, waits of up to 0.2, 0.4, 0.8 and 1.6 s. */
const defaultRetry: RetryIr = { maxAttempts: 5, backoff: "exponential", on: ["any"] };

/** The paths that could not be undone, those of an earlier worker's try included. */
export async function compensate(drive: Drive): Promise<string[]> {
  const failed: string[] = [];
  const steps = drive.compensables.toSorted((a, b) => b.seq - a.seq);
  for (const step of steps) {
    const past = drive.history?.of(step.path);
    if (past?.notCompensated) failed.push(step.path);
    if (past?.compensated || past?.notCompensated) continue;
    drive.checkStopped(undefined);
    try {
      await undo(drive, step);
    } catch (error) {
      if (drive.stopped) throw drive.stopped;
      failed.push(step.path);
      await drive.append({ type: "compensation.failed", node: step.path, data: { error: shapeOf(error) } });
      continue;
    }
    await drive.append({ type: "step.compensated", node: step.path });
  }
  return failed;
}

function undo(drive: Drive, { path, id, scope }: Compensable): Promise<unknown> {
  const code = drive.code.get(id)?.compensate;
  if (!code) {
    throw new TsdevError("not_found", {
      message: `this version of workflow "${drive.run.workflow}" no longer knows how to undo "${id}"`,
      fix: "keep the earlier definition in `previous`",
    });
  }
  const { procedure } = code;
  const run = async () => {
    const input = readInput(code, scope as RunScope);
    const policies = effectivePolicies(procedure, {
      workflow: drive.run.workflow,
      node: { id: `undo ${id}`, retry: procedure.policies.retry ?? defaultRetry },
      code: code as object,
    });
    const retries = policies.retries();
    for (let attempt = 1; ; attempt++) {
      const held = drive.held();
      if (held) await held;
      try {
        return await policies.guarded(drive.signal, (signal) =>
          callIn(procedure, input, {
            signal,
            idempotencyKey: keyOf(drive.run.id, `undo ${path}`, drive.history?.generation(path) ?? 0),
            attempt,
            log: createLog({ workflow: drive.run.workflow, runId: drive.run.id, node: path }),
            ...(drive.run.principal ? { principal: drive.run.principal } : {}),
            runId: drive.run.id,
            workflow: drive.run.workflow,
            node: path,
          }),
        );
      } catch (error) {
        const { again, waitMs } = retries.after(error, attempt, drive.signal);
        if (!again) throw error;
        await drive.sleep(waitMs, undefined);
      }
    }
  };
  const attributes = {
    [ATTR_WORKFLOW_NAME]: drive.run.workflow,
    [ATTR_WORKFLOW_RUN_ID]: drive.run.id,
    [ATTR_NODE_ID]: id,
    [ATTR_NODE_OP]: "compensate",
    [ATTR_NODE_PROCEDURE]: procedure.name,
  };
  return inSpan(spanNames.step(`${id} (undo)`), attributes, run);
}
