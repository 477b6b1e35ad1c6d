// Recorder: the hook by which `@tsdev/sdk/register` gets the input and output of finished runs, for replay.

/** A finished run, redacted. */
export interface RunRecord {
  workflow: string;
  runId: string;
  input: unknown;
  /** Null when the run failed. */
  output: unknown;
  failed: boolean;
}

export interface Recorder {
  /** Called within the context of the run's span. Must not throw and not keep the caller waiting. */
  run(recording: RunRecord): void;
}

const key = Symbol.for("tsdev.recorder");

/** The recorder that `register` has set, if it has. */
export function activeRecorder(): Recorder | undefined {
  return (globalThis as { [key]?: Recorder })[key];
}
