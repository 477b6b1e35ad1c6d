// Problem: an error as the JSON of every face, with the fields of RFC 9457 beside it.
import { type ErrorShape, TsdevError } from "../errors.ts";

export interface Problem extends ErrorShape {
  type: string;
  title: string;
  status: number;
  detail: string;
  runId?: string;
}

/** The body for any thrown value; what is not a TsdevError is `internal` and its message stays in the log. */
export function problemOf(thrown: unknown, more: { runId?: string } = {}): Problem {
  const error = TsdevError.is(thrown)
    ? thrown
    : new TsdevError("internal", {
        message: "an unexpected error",
        fix: "look at the log and the trace of the request",
      });
  return {
    type: `urn:tsdev:error:${error.code}`,
    title: error.code.replaceAll("_", " "),
    status: error.status,
    detail: error.message,
    ...error.toJSON(),
    ...more,
  };
}

/** The answer for any thrown value. */
export function toResponse(thrown: unknown, more: { runId?: string } = {}): Response {
  const problem = problemOf(thrown, more);
  const headers = new Headers({ "content-type": "application/problem+json" });
  // The rest of the body is not read, so the connection cannot carry another request.
  if (problem.code === "payload_too_large") headers.set("connection", "close");
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
