// Tells a database that is away, or cannot take anything just now, from one that refuses what it was given.

/** Errors of the way there, by Node's names. */
const network = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
]);

/** ClickHouse's codes of states that pass (`ErrorCodes.cpp`), by number and by name. */
const passing: Record<string, string> = {
  159: "TIMEOUT_EXCEEDED",
  164: "READONLY",
  202: "TOO_MANY_SIMULTANEOUS_QUERIES",
  209: "SOCKET_TIMEOUT",
  210: "NETWORK_ERROR",
  225: "NO_ZOOKEEPER",
  236: "ABORTED",
  241: "MEMORY_LIMIT_EXCEEDED",
  242: "TABLE_IS_READ_ONLY",
  243: "NOT_ENOUGH_SPACE",
  252: "TOO_MANY_PARTS",
  279: "ALL_CONNECTION_TRIES_FAILED",
  285: "TOO_FEW_LIVE_REPLICAS",
  319: "UNKNOWN_STATUS_OF_INSERT",
  394: "QUERY_WAS_CANCELLED",
  425: "SYSTEM_ERROR",
  473: "DEADLOCK_AVOIDED",
  516: "AUTHENTICATION_FAILED",
  999: "KEEPER_EXCEPTION",
};
const passingNames = new Set(Object.values(passing));

/** True when the same rows can be taken later. */
export function isAway(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    const { code, type } = at as Error & { code?: string | number; type?: string };
    if (typeof code === "string" && network.has(code)) return true;
    if (code !== undefined && String(code) in passing) return true;
    if (type !== undefined && passingNames.has(type)) return true;
    if (/socket hang up|Timeout error/i.test(at.message)) return true;
  }
  return false;
}
