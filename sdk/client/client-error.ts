// ClientError: what a call rejects with; the server's problem (RFC 9457) as an error that is told by its code.

/** One thing that is wrong with an input. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/**
 * `code` is one of the server's (`invalid_input`, `not_found`, …), of an error that the procedure declares, or `network`
 * when no answer came.
 */
export class ClientError<Code extends string = string, Data = unknown> extends Error {
  override readonly name = "ClientError";
  readonly code: Code;
  /** Of the answer; 0 when none came. */
  readonly status: number;
  /** What to do. */
  readonly fix: string | undefined;
  readonly path: string | undefined;
  readonly issues: readonly Issue[];
  /** Of a declared error. */
  readonly data: Data;
  /** Names the trace on the server. */
  readonly instance: string | undefined;
  readonly runId: string | undefined;
  /** Milliseconds that the server asks to wait before another try. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: Code,
    message: string,
    parts: Partial<Omit<ClientError<Code, Data>, "code" | "message" | "name">> & { status: number; cause?: unknown },
  ) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.status = parts.status;
    this.fix = parts.fix;
    this.path = parts.path;
    this.issues = parts.issues ?? [];
    this.data = parts.data as Data;
    this.instance = parts.instance;
    this.runId = parts.runId;
    this.retryAfterMs = parts.retryAfterMs;
  }
}

/** True for a ClientError with this code. The call's own `isError` also knows the type of its data. */
export function isError<Code extends string>(error: unknown, code: Code): error is ClientError<Code> {
  return error instanceof ClientError && error.code === code;
}

/** The error of a problem, or of an answer that is none. */
export function errorOf(problem: unknown, status: number): ClientError {
  const told = (typeof problem === "object" && problem !== null ? problem : {}) as Record<string, unknown>;
  const text = (key: string) => (typeof told[key] === "string" ? (told[key] as string) : undefined);
  return new ClientError(text("code") ?? "internal", text("message") ?? `the server answered ${status}`, {
    status,
    fix: text("fix"),
    path: text("path"),
    issues: (told.errors as Issue[] | undefined) ?? [],
    data: told.data,
    instance: text("instance"),
    runId: text("runId"),
    retryAfterMs: told.retryAfterMs as number | undefined,
  });
}
