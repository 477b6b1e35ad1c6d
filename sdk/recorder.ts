// Recorder: the hook by which `@tsdev/sdk/register` gets inputs and outputs of calls and runs, for replay.

/** A finished run, redacted. */
export interface RunRecord {
  workflow: string;
  runId: string;
  input: unknown;
  /** Null when the run failed. */
  output: unknown;
  failed: boolean;
}

/** A finished call of a procedure, one attempt; redacted by its contracts, and as JSON since the app may change values. */
export interface CallRecord {
  procedure: string;
  /** JSON of what the caller gave. */
  input: string;
  /** JSON; `null` when it failed. */
  output: string;
  error: CallFailure | null;
}

export interface CallFailure {
  /** As `error.type` has it. */
  type: string;
  message: string;
  /** JSON of the data of a declared error. */
  data?: string;
}

/** How a request is written down without what its contract hides. */
export interface RequestHiding {
  /** Of path and query. */
  url(url: string): string;
  /** Of the value of a JSON body; a body that is no JSON is left out. */
  body(value: unknown): unknown;
  /** Headers that are left out, in lower case. */
  readonly headers: readonly string[];
}

/** Nothing of it may throw, or keep the caller waiting. */
export interface Recorder {
  /** Called within the context of the run's span. */
  run(recording: RunRecord): void;
  /**
   * Called within the context of the procedure's span, before the handler: undefined when this call is not one of the
   * sample, else what takes its record.
   */
  call?(procedure: string): ((recording: CallRecord) => void) | undefined;
  /** Called within the context of a request whose contract hides something, before the request is answered. */
  hide?(hiding: RequestHiding): void;
}

/** The most of an input or an output that is recorded, as characters of JSON; a call with more is not recorded. */
export const recordLimit = 64 * 1024;

const key = Symbol.for("tsdev.recorder");

/** The recorder that `register` has set, if it has. */
export function activeRecorder(): Recorder | undefined {
  return (globalThis as { [key]?: Recorder })[key];
}
