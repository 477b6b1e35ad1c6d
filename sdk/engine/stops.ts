// Stops: why a branch of a run goes on no further, as errors that only the engine throws and catches, and which ones end
// together.
import { type ErrorShape, TsdevError } from "../errors.ts";

/** The run is stopped between two nodes: it is paused, or goes on elsewhere because this engine closes. */
export class Stopped extends Error {
  readonly why: "paused" | "handed over";
  constructor(why: "paused" | "handed over") {
    super(`the run is ${why}`);
    this.why = why;
  }
}

/** Somebody canceled the run. */
export class Canceled extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

/** A branch is left because the one beside it failed. */
export class Abandoned extends Error {}

/** A node failed for good: the run fails with this error, unless the item it is in is collected. */
export class RunFailure extends Error {
  readonly error: TsdevError;
  constructor(error: TsdevError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

/** A failure that the history knows. */
export function failureOf(shape: ErrorShape): RunFailure {
  return new RunFailure(new TsdevError(shape.code, shape));
}

/** Branches that end together when one of them fails. */
export class Group {
  readonly around: Group | undefined;
  failed = false;
  constructor(around: Group | undefined) {
    this.around = around;
  }

  get abandoned(): boolean {
    return this.failed || (this.around?.abandoned ?? false);
  }
}

/** What the signal of a step gives. */
export function reasonOf(stopped: Error): Error {
  if (!(stopped instanceof Canceled)) return stopped;
  return new TsdevError("canceled", { message: `the run was canceled: ${stopped.reason}`, fix: "start another run" });
}
