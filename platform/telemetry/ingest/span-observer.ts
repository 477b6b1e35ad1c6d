// SpanObserver: is told of every span whose row was written, with what a decision about its trace needs.
import type { spanKinds } from "./tables.ts";

export interface SeenSpan {
  /** Where its row ends in the rows; the last 8 bytes before it are its AdjustedCount. */
  end: number;
  /** In lower case hexadecimal. */
  traceId: string;
  /** It has no parent. */
  isRoot: boolean;
  kind: (typeof spanKinds)[number];
  failed: boolean;
  durationMs: number;
  service: string;
  operation: string;
}

export interface SpanObserver {
  span(seen: SeenSpan): void;
}

/** The operation of a span, as the column Operation has it for requests that are served. */
export function operationOf(
  kind: SeenSpan["kind"],
  name: string,
  attribute: (name: string) => string | undefined,
): string {
  if (kind !== "Server") return name;
  const route = attribute("http.route");
  if (route === undefined || route === "") return name;
  return `${attribute("http.request.method") || attribute("http.method") || ""} ${route}`.trimStart();
}
