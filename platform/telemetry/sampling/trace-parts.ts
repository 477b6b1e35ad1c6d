// TraceParts: what one request brought of each trace, and which of its rows belong to it.
import type { SeenSpan, SpanObserver } from "../ingest/span-observer.ts";

/** How much a span says about the operation of its whole trace: the root's is it, a served request's stands in for it. */
export const authority = { any: 0, entry: 1, root: 2 } as const;
export type Authority = (typeof authority)[keyof typeof authority];

/** What is known of a trace, from one request or from all so far. */
export interface TraceFacts {
  /** A span of it has the status Error. */
  failed: boolean;
  authority: Authority;
  /** Service and operation of the span that says most. */
  operation: string;
  /** Of that span: durations of spans are measured by one clock each, the distance between two spans is not. */
  durationMs: number;
}

export interface TracePart extends TraceFacts {
  traceId: string;
}

export class TraceParts implements SpanObserver {
  readonly parts: TracePart[] = [];
  /** Of each row: where it ends, and which of the parts it belongs to. */
  readonly ends: number[] = [];
  readonly partOf: number[] = [];
  readonly #index = new Map<string, number>();

  span(seen: SeenSpan): void {
    const facts = factsOf(seen);
    let index = this.#index.get(seen.traceId);
    if (index === undefined) {
      index = this.parts.length;
      this.#index.set(seen.traceId, index);
      this.parts.push({ traceId: seen.traceId, ...facts });
    } else learn(this.parts[index]!, facts);
    this.ends.push(seen.end);
    this.partOf.push(index);
  }
}

function factsOf(seen: SeenSpan): TraceFacts {
  const served = seen.kind === "Server" || seen.kind === "Consumer";
  return {
    failed: seen.failed,
    authority: seen.isRoot ? authority.root : served ? authority.entry : authority.any,
    operation: `${seen.service} ${seen.operation}`,
    durationMs: seen.durationMs,
  };
}

/** Adds facts to others of the same trace; in whichever order they come, the outcome is the same. */
export function learn(known: TraceFacts, more: TraceFacts): void {
  known.failed ||= more.failed;
  if (!saysMore(more, known)) return;
  known.authority = more.authority;
  known.operation = more.operation;
  known.durationMs = more.durationMs;
}

function saysMore(one: TraceFacts, other: TraceFacts): boolean {
  if (one.authority !== other.authority) return one.authority > other.authority;
  if (one.durationMs !== other.durationMs) return one.durationMs > other.durationMs;
  return one.operation < other.operation;
}
