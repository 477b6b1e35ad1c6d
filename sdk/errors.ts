// TsdevError: the one error type of the platform and the SDK, and the list of its codes.

/** Every code, with the HTTP status it maps to and what it means. A docs page per group is in `docs/reference/errors.md`. */
export const errorCodes = {
  invalid_input: { status: 400, meaning: "the input does not fit the contract; `path` names the place" },
  invalid_output: { status: 500, meaning: "a handler returned what its contract does not allow" },
  invalid_config: { status: 400, meaning: "a configuration file has an unknown key or a wrong value" },
  unauthenticated: { status: 401, meaning: "no token, or one that is not known" },
  forbidden: { status: 403, meaning: "the principal's role does not allow this operation" },
  not_found: { status: 404, meaning: "no such thing, or not in this organization" },
  method_not_allowed: { status: 405, meaning: "the path is there, but not for this method; Allow says for which" },
  conflict: { status: 409, meaning: "the state of the thing does not allow this now" },
  import_failed: { status: 500, meaning: "a module of the app threw while it was imported" },
  duplicate_name: { status: 409, meaning: "two things have the same name" },
  payload_too_large: { status: 413, meaning: "the body exceeds the stated limit" },
  unsupported_media_type: { status: 415, meaning: "the body is of a type that is not read here" },
  rate_limited: { status: 429, meaning: "too many requests; Retry-After says when" },
  timeout: { status: 504, meaning: "the time limit passed" },
  canceled: { status: 499, meaning: "the caller gave up" },
  unavailable: { status: 503, meaning: "a part is away for the moment; try again" },
  internal: { status: 500, meaning: "a fault of ours; the cause is in the log" },
  data_directory_held: { status: 409, meaning: "another control plane holds the data directory" },
  data_directory_unwritable: { status: 500, meaning: "the data directory is read-only, full or not ours" },
  port_taken: { status: 409, meaning: "the port that was asked for is in use" },
  build_failed: { status: 422, meaning: "install or build exited with an error; the log has the lines" },
  not_deployable: { status: 422, meaning: "the folder has no package.json or no start script" },
  unhealthy: { status: 422, meaning: "the new version did not answer its health probe in time" },
  crashed: { status: 422, meaning: "the new version ended while it was starting" },
  wrong_port: { status: 422, meaning: "the app listens on another port than PORT" },
  git_rejected: { status: 422, meaning: "the Git host refused the push or the request" },
  upstream_failed: {
    status: 502,
    meaning: "a service that this depends on refused the call; `upstreamStatus` is its answer",
  },
  circuit_open: { status: 503, meaning: "what this depends on failed again and again; calls to it rest for a while" },
  rejected: { status: 409, meaning: "a person was asked and said no" },
  interrupted: {
    status: 500,
    meaning: "the worker died during a step that must not run twice; look, then retry the run",
  },
  step_failed: { status: 500, meaning: "a workflow step failed after its last attempt" },
  run_failed: { status: 500, meaning: "a workflow run ended with an error" },
  declined: { status: 422, meaning: "a codemod is not sure and says why" },
  not_proven: { status: 422, meaning: "the replay did not prove the patch" },
} as const satisfies Record<string, { status: number; meaning: string }>;

/** A code of `errorCodes`. */
export type ErrorCode = keyof typeof errorCodes;

/** What every face shows of an error: HTTP bodies, MCP results, `--json` on stderr. */
export interface ErrorShape {
  code: ErrorCode;
  message: string;
  fix: string;
  path?: string;
  retryAfterMs?: number;
}

const marker = Symbol.for("tsdev.error");

/**
 * An error with a code, what was wrong (`message`) and what to do (`fix`).
 * `path` names the place in an input, such as `items.0.sku`. `retryAfterMs` says when it may be tried again: HTTP answers
 * it as Retry-After, and a retry waits at least so long.
 *
 * @example
 * throw new TsdevError("not_found", { message: 'no project "shop"', fix: "run `tsdev deploy` in its folder first" });
 */
export class TsdevError extends Error {
  readonly code: ErrorCode;
  readonly fix: string;
  readonly path: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly [marker] = true;

  constructor(
    code: ErrorCode,
    parts: { message: string; fix: string; path?: string; retryAfterMs?: number; cause?: unknown },
  ) {
    super(parts.message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = "TsdevError";
    this.code = code;
    this.fix = parts.fix;
    this.path = parts.path;
    this.retryAfterMs = parts.retryAfterMs;
  }

  /** The HTTP status of the code. */
  get status(): number {
    return errorCodes[this.code].status;
  }

  /** The shape that faces show; never a stack or a cause. */
  toJSON(): ErrorShape {
    const shape: ErrorShape = { code: this.code, message: this.message, fix: this.fix };
    if (this.path !== undefined) shape.path = this.path;
    if (this.retryAfterMs !== undefined) shape.retryAfterMs = this.retryAfterMs;
    return shape;
  }

  /** True for any TsdevError, also one made by another copy of this package. */
  static is(value: unknown): value is TsdevError {
    return typeof value === "object" && value !== null && marker in value;
  }

  /** Any thrown value as a TsdevError: itself, or `internal` with the value as cause. */
  static from(value: unknown): TsdevError {
    if (TsdevError.is(value)) return value;
    return new TsdevError("internal", {
      message: messageOf(value),
      fix: "look at the log of the process; report it if it repeats",
      cause: value,
    });
  }
}

/** Also of what is no error: anything can be thrown. */
function messageOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  const { message } = thrown as { message?: unknown };
  if (typeof message === "string") return message;
  try {
    return `an object was thrown: ${JSON.stringify(thrown).slice(0, 200)}`;
  } catch {
    return "an object was thrown that has no text";
  }
}
