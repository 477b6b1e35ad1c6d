// End of a run: waited for wherever the run is driven, here, elsewhere, or first the one and then the other.
import { TsdevError } from "../errors.ts";
import type { Scope } from "../workflows/definition.ts";
import { endStates } from "./engine.ts";
import type { Followers } from "./follow-run.ts";
import { databaseAway, handedOver, noRun } from "./run-errors.ts";
import { LeaseLost, type RunStore, type StoredRun } from "./run-store.ts";
import { Stopped } from "./stops.ts";
import type { Driven, Worker } from "./worker.ts";

export interface EndOfRunParts {
  readonly store: RunStore;
  readonly worker: Worker;
  readonly followers: Followers;
  readonly isClosing: () => boolean;
}

/** The output of a run that is done. Throws its error, or `unavailable` when nobody here can wait for it any longer. */
export async function endOfRun(
  { store, worker, followers, isClosing }: EndOfRunParts,
  runId: string,
  driven: Driven | undefined,
  signal: AbortSignal | undefined,
): Promise<Scope> {
  let here = driven;
  for (let wait = 20; ; wait = Math.min(wait * 2, 500)) {
    if (here) {
      try {
        const outcome = await here.ended;
        if (outcome.state === "done") return outcome.output;
        if ("error" in outcome) throw outcome.error;
      } catch (error) {
        if (TsdevError.is(error)) throw error;
        if (!(error instanceof LeaseLost || error instanceof Stopped)) {
          throw databaseAway(`run "${runId}" stopped and is carried on later`, error);
        }
      }
      wait = 20;
    }
    if (isClosing()) throw handedOver(runId);
    const changed = followers.next(runId, wait);
    const run = await store.find(runId);
    if (!run) throw noRun(runId);
    if (run.state === "done") return run.output as Scope;
    if (endStates.has(run.state)) throw fromShape(run);
    here = worker.get(runId);
    if (!here) await changed;
    here = worker.get(runId);
    if (signal?.aborted && !here && isClosing()) throw handedOver(runId);
  }
}

function fromShape(run: StoredRun): TsdevError {
  const shape = run.error ?? { code: "run_failed" as const, message: "the run failed", fix: "look at its trace" };
  return new TsdevError(shape.code, shape);
}
