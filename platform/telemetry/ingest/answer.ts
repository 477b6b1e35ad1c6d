// What a sender is told when its request is not taken: the HTTP status, the gRPC code, and whether to come again.
import { TsdevError } from "../../../sdk/errors.ts";
import { MalformedBody } from "./ingest.ts";
import { BodyRefused } from "./request-body.ts";
import { TooManyRowBytes } from "./row-binary.ts";

/** google.rpc.Code, which gRPC's status codes are too. */
export const rpcCode = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const codes: Record<number, number> = {
  400: rpcCode.invalidArgument,
  401: rpcCode.unauthenticated,
  403: rpcCode.permissionDenied,
  404: rpcCode.notFound,
  405: rpcCode.invalidArgument,
  408: rpcCode.deadlineExceeded,
  413: rpcCode.resourceExhausted,
  415: rpcCode.invalidArgument,
  429: rpcCode.resourceExhausted,
  500: rpcCode.internal,
  502: rpcCode.unavailable,
  503: rpcCode.unavailable,
  504: rpcCode.unavailable,
};

/** Statuses at which a sender keeps its data and tries again (https://opentelemetry.io/docs/specs/otlp/#failures). */
const retried = new Set([429, 502, 503, 504]);
const retryAfterS = 1;

export interface RefusalAnswer {
  /** HTTP's. */
  status: number;
  /** gRPC's. */
  code: number;
  message: string;
  /** Seconds after which the same request may come again; undefined where it must not. */
  retryAfterS?: number;
}

export function refusal(error: unknown): RefusalAnswer {
  const [status, message] = explain(error);
  return {
    status,
    code: codes[status] ?? rpcCode.unknown,
    message,
    ...(retried.has(status) ? { retryAfterS } : {}),
  };
}

function explain(error: unknown): [status: number, message: string] {
  if (error instanceof BodyRefused) return [error.status, error.message];
  if (error instanceof MalformedBody) return [400, `the body cannot be decoded: ${error.message}`];
  if (error instanceof TooManyRowBytes) return [413, error.message];
  const known = TsdevError.from(error);
  // What went wrong on our side may pass: a sender keeps its data and tries again.
  if (known.code === "internal") return [503, "the telemetry could not be taken; send it again in a moment"];
  return [known.status, `${known.message}; ${known.fix}`];
}
