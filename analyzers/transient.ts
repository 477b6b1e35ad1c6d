// Transient errors: which error codes and statuses can heal by themselves, after undici's, AWS's and gRPC's lists.

/** `unsent` never reached the server, `unknown` may have been done, `throttled` asks to come later, `transaction` was undone. */
export type TransientClass = "unsent" | "unknown" | "throttled" | "transaction";

const classes: Record<string, TransientClass> = {
  ECONNREFUSED: "unsent",
  ENOTFOUND: "unsent",
  EAI_AGAIN: "unsent",
  EHOSTUNREACH: "unsent",
  ENETUNREACH: "unsent",
  NGHTTP2_REFUSED_STREAM: "unsent",
  UND_ERR_CONNECT_TIMEOUT: "unsent",
  ECONNRESET: "unknown",
  EPIPE: "unknown",
  ETIMEDOUT: "unknown",
  ESOCKETTIMEDOUT: "unknown",
  UND_ERR_SOCKET: "unknown",
  UND_ERR_HEADERS_TIMEOUT: "unknown",
  UND_ERR_BODY_TIMEOUT: "unknown",
  SocketError: "unknown",
  TimeoutError: "unknown",
  timeout: "unknown",
  500: "unknown",
  502: "unknown",
  503: "throttled",
  504: "unknown",
  429: "throttled",
  unavailable: "throttled",
  UNAVAILABLE: "throttled",
  rate_limited: "throttled",
  ThrottlingException: "throttled",
  TooManyRequestsException: "throttled",
  "40001": "transaction",
  "40P01": "transaction",
};

/** The class of an `error.type` or an HTTP status (`503`, `http_503`), or null when a retry does not heal it. */
export function transientClass(errorType: string): TransientClass | null {
  return classes[errorType.replace(/^http_/, "")] ?? null;
}
