// Event: a named, typed message from outside that a run waits for or that starts one.
import type { z } from "zod";
import { callerOf, type SourceLocation } from "../source-location.ts";

export interface Event<Name extends string = string, P extends z.ZodType = z.ZodType> {
  readonly kind: "event";
  readonly name: Name;
  readonly payload: P;
  /** Which thing an event is about; a waiting run says with `key` which one it means. Absent: every event is for all. */
  readonly key: ((payload: z.output<P>) => string) | undefined;
  /** Where it is declared. */
  readonly source: SourceLocation | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: stands for an event of any payload; the contract checks at run time
export type AnyEvent = Event<string, any>;

/**
 * Declares an event.
 *
 * @example
 * export const paymentReceived = event({
 *   name: "payment.received",
 *   payload: z.object({ orderId: z.string(), amount: z.number() }),
 *   key: ({ orderId }) => orderId,
 * });
 */
export function event<const Name extends string, P extends z.ZodType>(parts: {
  name: Name;
  payload: P;
  key?: (payload: z.output<P>) => string;
}): Event<Name, P> {
  return Object.freeze({
    kind: "event" as const,
    name: parts.name,
    payload: parts.payload,
    key: parts.key,
    source: callerOf(event),
  });
}
