// Transient: which errors are worth another attempt, and the short name of an error for spans.
import { TsdevError } from "../errors.ts";

const codes = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "ETIMEDOUT",
  "EPIPE",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "ENETRESET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_SOCKET",
  // Postgres: serialization failure, deadlock, too many connections, shutdown, starting up, connection lost.
  "40001",
  "40P01",
  "53300",
  "57P01",
  "57P02",
  "57P03",
  "08000",
  "08003",
  "08006",
]);

/** What `pg` says of a lost or refused connection that it gives no code. */
const lostConnection =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/** 5xx that say "never", not "not now": not implemented, version not supported, network login required. */
const lasting = new Set([501, 505, 511]);
const transientTsdevCodes = new Set<string>(["unavailable", "timeout", "rate_limited"]);
const maxCauses = 5;

/**
 * True when trying again may help: network errors, TsdevError `unavailable`, `timeout` and `rate_limited`, HTTP 408,
 * 425, 429 and 5xx on an error with `status` or `statusCode` of its own or of its `response` (as `ky` and `got` have it), a
 * time-out of a signal, a connection that `pg` lost, and `retryable: true`.
 * `retryable: false` always wins. Causes are looked at too, since `fetch` wraps what really happened.
 */
export function isTransient(error: unknown): boolean {
  for (const link of causesOf(error)) {
    if (link.retryable === false) return false;
    if (link.retryable === true) return true;
    if (TsdevError.is(link)) return transientTsdevCodes.has(link.code);
    if (typeof link.code === "string" && codes.has(link.code)) return true;
    if (link.name === "TimeoutError") return true;
    if (typeof link.message === "string" && lostConnection.test(link.message)) return true;
    const status = statusOf(link);
    if (status !== undefined) return isTransientStatus(status);
  }
  return false;
}

const lastingTsdevCodes = new Set<string>(["invalid_input", "invalid_output", "canceled"]);

/** True when the same call fails again for certain: the contract refuses it, it was canceled, or `retryable: false`. */
export function isLasting(error: unknown): boolean {
  for (const link of causesOf(error)) {
    if (typeof link.retryable === "boolean") return !link.retryable;
    if (TsdevError.is(link)) return lastingTsdevCodes.has(link.code);
  }
  return false;
}

/** True when it says more of the caller than of what was called: 4xx except those that are worth another attempt. */
export function isCallersMistake(error: unknown): boolean {
  const status = causesOf(error)
    .map(statusOf)
    .find((one) => one !== undefined);
  return status !== undefined && status >= 400 && status < 500 && !isTransient(error);
}

/** The value of `error.type`. */
export function errorType(error: unknown): string {
  const links = causesOf(error);
  for (const link of links) {
    if (typeof link.code === "string" && link.code !== "") return link.code;
    const status = statusOf(link);
    if (status !== undefined) return `http_${status}`;
  }
  const first = links[0];
  if (first === undefined) return typeof error;
  const name = first.name === "Error" || typeof first.name !== "string" ? first.constructor?.name : first.name;
  return name ?? "Error";
}

interface ErrorLink {
  code?: unknown;
  status?: unknown;
  statusCode?: unknown;
  response?: unknown;
  retryable?: unknown;
  name?: unknown;
  message?: unknown;
  cause?: unknown;
}

/** The error and its causes, as far as they are objects. */
function causesOf(error: unknown): ErrorLink[] {
  const links: ErrorLink[] = [];
  let link = error;
  while (typeof link === "object" && link !== null && links.length < maxCauses) {
    links.push(link);
    link = (link as ErrorLink).cause;
  }
  return links;
}

function statusOf(link: ErrorLink): number | undefined {
  const response = (link.response ?? {}) as { status?: unknown; statusCode?: unknown };
  const status = link.status ?? link.statusCode ?? response.status ?? response.statusCode;
  return typeof status === "number" && status >= 100 && status <= 599 ? status : undefined;
}

function isTransientStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && !lasting.has(status));
}
