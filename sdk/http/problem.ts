// Problem: an error as the JSON of every face, with the fields of RFC 9457 beside it.
import { isSpanContextValid, trace } from "@opentelemetry/api";
import { type ErrorShape, TsdevError } from "../errors.ts";
import { retryAfterOf } from "../policies/retry-after.ts";
import { DeclaredError } from "../procedures/declared-error.ts";
import { withToldError } from "./told-error.ts";

/** One thing that is wrong with an input. */
export interface ProblemIssue {
  /** Such as `items.0.sku`; empty for the input itself. */
  path: string;
  message: string;
}

export interface Problem extends Omit<ErrorShape, "code"> {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** A code of `errorCodes`, or of an error that the procedure declares. */
  code: string;
  /** `urn:tsdev:trace:{id}`: where the whole story is. Absent without tracing. */
  instance?: string;
  /** Of `invalid_input`: all that is wrong; `path` and `message` above are of the first. */
  errors?: ProblemIssue[];
  /** Of a declared error. */
  data?: unknown;
  runId?: string;
}

/** The body for any thrown value; what is not a TsdevError is `internal` and its message stays in the log. */
export function problemOf(thrown: unknown, more: { runId?: string } = {}): Problem {
  const error = DeclaredError.is(thrown) ? thrown : known(thrown);
  const shape = DeclaredError.is(error)
    ? { ...error.toJSON(), fix: `act on the code; it is declared by procedure "${error.procedure}"` }
    : error.code === "step_failed"
      ? withToldError({ error: error.toJSON() }).error
      : error.toJSON();
  const problem: Problem = {
    type: `urn:tsdev:error:${error.code}`,
    title: error.code.replaceAll("_", " "),
    status: error.status,
    detail: shape.message,
    ...shape,
  };
  const span = trace.getActiveSpan()?.spanContext();
  if (span && isSpanContextValid(span)) problem.instance = `urn:tsdev:trace:${span.traceId}`;
  const errors = error.code === "invalid_input" ? issuesOf(error.cause) : undefined;
  if (errors) problem.errors = errors;
  return Object.assign(problem, more);
}

function known(thrown: unknown): TsdevError {
  if (TsdevError.is(thrown)) return thrown;
  return new TsdevError("internal", {
    message: "an unexpected error",
    fix: "look at the log and the trace of the request",
  });
}

/** At most so many: an input of a million wrong elements needs no answer that is as long. */
const maxIssues = 100;

function issuesOf(cause: unknown): ProblemIssue[] | undefined {
  const issues = (cause as { issues?: unknown } | undefined)?.issues;
  if (!Array.isArray(issues)) return undefined;
  return issues.slice(0, maxIssues).map((issue: { path?: PropertyKey[]; message?: unknown }) => ({
    path: (issue.path ?? []).map(String).join("."),
    message: String(issue.message ?? "invalid"),
  }));
}

/** The answer for any thrown value. */
export function toResponse(thrown: unknown, more: { runId?: string } = {}): Response {
  const problem = problemOf(thrown, more);
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  // The rest of the body is not read, so the connection cannot carry another request.
  if (problem.code === "payload_too_large") headers.connection = "close";
  // RFC 9110 §11.6.1 asks for it.
  if (problem.status === 401) headers["www-authenticate"] = "Bearer";
  const retryAfterMs = problem.status === 429 || problem.status === 503 ? retryAfterOf(thrown) : undefined;
  if (retryAfterMs !== undefined) headers["retry-after"] = String(Math.ceil(retryAfterMs / 1_000));
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
