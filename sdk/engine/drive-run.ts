// Drives a run from where it stands to its end, or until it only waits, is paused or is handed on.
import { type ErrorShape, TsdevError } from "../errors.ts";
import type { Scope } from "../workflows/definition.ts";
import { canceledShape } from "./acts.ts";
import { compensate } from "./compensate.ts";
import type { Drive } from "./drive.ts";
import { executeBody } from "./execute-body.ts";
import { maxDeaths } from "./history.ts";
import { RunScope } from "./run-scope.ts";
import { Canceled, RunFailure, Stopped } from "./stops.ts";

export type Outcome =
  | { readonly state: "done"; readonly output: Scope }
  | { readonly state: "failed" | "canceled"; readonly error: TsdevError }
  | { readonly state: "waiting" | "paused" | "queued" };

/** Throws LeaseLost, or what the store threw: the run is not over then. `cancelChild` ends a run that this one began. */
export async function driveRun(drive: Drive, cancelChild: (runId: string) => Promise<unknown>): Promise<Outcome> {
  const scope = new RunScope(drive.run.scope);
  const deaths = drive.history?.deaths ?? 0;
  try {
    let failure: TsdevError | undefined;
    // Undoing is progress and begins the count anew; that the run was given up stays.
    const gaveUpAfter = drive.history?.gaveUpAfter ?? 0;
    if (deaths > maxDeaths || gaveUpAfter > 0) {
      failure = workersDied(drive, gaveUpAfter || deaths);
      // Even undoing kills its worker.
      if (deaths > 2 * maxDeaths) return await end(drive, "failed", failure);
      drive.refuse();
    }
    let canceled: Canceled | undefined;
    try {
      const walked = executeBody(drive, drive.run.ir.nodes, scope, { prefix: "", group: undefined });
      if (walked) {
        const ended = walked.then(() => true);
        if (!(await Promise.race([ended, drive.givenUp.then(() => false)]))) return { state: "waiting" };
      }
      if (!failure) return await finish(drive, scope);
    } catch (error) {
      if (drive.stopped) {
        if (!(drive.stopped instanceof Canceled)) throw drive.stopped;
        canceled = drive.stopped;
      } else if (error instanceof RunFailure) failure ??= error.error;
      else if (!failure) throw error;
    }
    for (const child of drive.children) await cancelChild(child);
    // Whether the step took effect is for a person to find out, before what came before it is undone.
    if (!canceled && failure?.code === "interrupted") return await end(drive, "failed", failure);
    drive.beginUndoing();
    const left = await compensate(drive);
    if (canceled) {
      const shape = canceledShape(drive.run.workflow, drive.run.id, canceled.reason);
      return await end(drive, "canceled", naming(new TsdevError("canceled", shape), left), canceled.reason);
    }
    return await end(drive, "failed", naming(failure!, left));
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    if (error.why === "handed over") {
      await drive.store.release([drive.lease]);
      return { state: "queued" };
    }
    await drive.change([{ type: "run.paused", node: null }], { state: "paused" });
    return { state: "paused" };
  }
}

/** A cancel or a pause that came before the end goes first. */
async function finish(drive: Drive, scope: RunScope): Promise<Outcome> {
  const output = scope.own();
  for (;;) {
    drive.checkStopped(undefined);
    const ifSignals = drive.signals;
    const change = { state: "done", output, ifSignals } as const;
    if ((await drive.change([{ type: "run.done", node: null }], change)) === "done") return { state: "done", output };
    await drive.look();
  }
}

async function end(drive: Drive, state: "failed" | "canceled", error: TsdevError, reason?: string): Promise<Outcome> {
  const shape = error.toJSON();
  const type = state === "failed" ? "run.failed" : "run.canceled";
  await drive.change([{ type, node: null, data: state === "failed" ? { error: shape } : { reason } }], {
    state,
    error: shape,
  });
  return { state, error };
}

/** The error with the steps that could not be undone. */
function naming(error: TsdevError, left: readonly string[]): TsdevError {
  if (left.length === 0) return error;
  const shape: ErrorShape = error.toJSON();
  return new TsdevError(shape.code, {
    ...shape,
    message: `${shape.message}; not undone: ${left.map((path) => `"${path}"`).join(", ")}`,
    cause: error.cause,
  });
}

function workersDied(drive: Drive, deaths: number): TsdevError {
  return new TsdevError("run_failed", {
    message: `run "${drive.run.id}" of workflow "${drive.run.workflow}": ${deaths} workers in a row died in it without finishing a step`,
    fix: "look for what ends the process (memory, a crash of a native module), then retry the run",
  });
}
