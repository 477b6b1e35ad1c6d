// What the router itself answers: a typed error as JSON, or a small page for browsers.
import type { IncomingMessage } from "node:http";
import type { ErrorCode, ErrorShape } from "../../../sdk/errors.ts";

/** An answer of the router's own. */
export interface OwnAnswer {
  status: number;
  error: ErrorShape;
  /** Whether asking again soon makes sense and repeats nothing. */
  retry: boolean;
}

const answer = (status: number, code: ErrorCode, retry: boolean, message: string, fix: string): OwnAnswer => ({
  status,
  retry,
  error: { code, message, fix },
});

export const nothingDeployed = (): OwnAnswer =>
  answer(
    404,
    "not_found",
    false,
    "nothing is deployed at this address",
    "the dashboard and `deployments.list` show what is; `tsdev deploy` in a project folder makes it live",
  );

export const controlPlaneAway = (): OwnAnswer =>
  answer(
    503,
    "unavailable",
    true,
    "the control plane is starting, apps keep serving",
    "try again in a moment; start it with `tsdev serve` if it was stopped",
  );

export const scaledToZero = (): OwnAnswer =>
  answer(
    503,
    "unavailable",
    true,
    "this service is scaled to 0 instances",
    "scale it up with `tsdev scale --replicas 1`",
  );

export const noInstance = (): OwnAnswer =>
  answer(
    503,
    "unavailable",
    true,
    "no instance of this service answers at the moment; it is being started again",
    "try again in a moment; `tsdev logs` shows why it ended",
  );

/** The request reached the instance and may have had an effect, so no Retry-After. */
export const brokeOff = (): OwnAnswer =>
  answer(502, "unavailable", false, "the instance broke off before it answered", "see `tsdev logs` for why it ended");

/** Headers (flat pairs) and body of an answer. */
export function renderAnswer(own: OwnAnswer, request: IncomingMessage): { headers: string[]; body: string } {
  const html = (request.headers.accept ?? "").includes("text/html");
  const markup = (text: string) =>
    text
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(/`([^`]*)`/g, "<code>$1</code>");
  const body = html
    ? `<!doctype html><meta charset="utf-8">${own.retry ? '<meta http-equiv="refresh" content="1">' : ""}<title>${own.status}</title>` +
      '<body style="font:16px/1.5 system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark">' +
      `<p><b>${markup(own.error.message)}</b><p>${markup(own.error.fix)}\n`
    : `${JSON.stringify({ error: own.error })}\n`;
  const headers = ["Content-Type", html ? "text/html; charset=utf-8" : "application/json"];
  headers.push("Content-Length", String(Buffer.byteLength(body)), "Cache-Control", "no-store");
  if (own.retry) headers.push("Retry-After", "1");
  return { headers, body };
}
