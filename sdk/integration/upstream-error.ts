// Upstream error: what another service answered instead of a result, as an error that policies understand.
import { type ErrorCode, TsdevError } from "../errors.ts";

const lasting = new Set([501, 505, 511]);
const mostSaid = 200;

export class UpstreamError extends TsdevError {
  /** The status that the service answered. */
  readonly upstreamStatus: number;
  /** False: the same call fails again. */
  readonly retryable: boolean;

  private constructor(code: ErrorCode, parts: { message: string; fix: string }, response: Response) {
    const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
    super(code, { ...parts, ...(Number.isFinite(seconds) ? { retryAfterMs: seconds * 1_000 } : {}) });
    this.upstreamStatus = response.status;
    this.retryable = code !== "upstream_failed";
  }

  /** `said` is the body, without credentials. */
  static of(response: Response, what: string, said: string): UpstreamError {
    const { status } = response;
    const moved = status >= 300 && status < 400;
    const detail = moved ? "a redirect, which is not followed" : detailOf(said);
    const message = `${what} answered ${status}${detail === "" ? "" : `: ${detail}`}`;
    return new UpstreamError(codeOf(status), { message, fix: fixOf(status) }, response);
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 429) return "rate_limited";
  if (status === 408) return "timeout";
  if (status === 425 || (status >= 500 && !lasting.has(status))) return "unavailable";
  return "upstream_failed";
}

function fixOf(status: number): string {
  if (status === 401 || status === 403) return "check the credential that is configured for this API";
  if (status >= 300 && status < 400) return "set baseUrl to the address that the service is at now";
  return codeOf(status) === "upstream_failed" ? "correct what is sent" : "try again later";
}

/** What a person can use of a body: the message of a JSON error, or the beginning of a short text. */
function detailOf(said: string): string {
  let text = said;
  try {
    const value = JSON.parse(said) as Record<string, unknown> | null;
    const nested = value?.error as Record<string, unknown> | undefined;
    const found = [value?.detail, value?.message, nested?.message, value?.title, value?.error].find(
      (one) => typeof one === "string",
    );
    text = typeof found === "string" ? found : "";
  } catch {
    if (said.trimStart().startsWith("<")) text = "";
  }
  return text.replaceAll(/\s+/g, " ").trim().slice(0, mostSaid);
}
