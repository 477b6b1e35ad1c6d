// Event: a named, typed message from outside that a run waits for or that starts one.
import type { z } from "zod";
import { callerOf, type SourceLocation } from "../source-location.ts";

type KeyOf<P extends z.ZodType> = (payload: z.output<P>) => string;

/** `K` is `undefined` for an event that has no key, so that waiting for it with one does not compile. */
export interface Event<
  Name extends string = string,
  P extends z.ZodType = z.ZodType,
  K extends KeyOf<P> | undefined = KeyOf<P> | undefined,
> {
  readonly kind: "event";
  readonly name: Name;
  readonly payload: P;
  /** Which thing an event is about; a waiting run says with `key` which one it means. Absent: every event is for all. */
  readonly key: K;
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
  key: KeyOf<P>;
}): Event<Name, P, KeyOf<P>>;
export function event<const Name extends string, P extends z.ZodType>(parts: {
  name: Name;
  payload: P;
  key?: undefined;
}): Event<Name, P, undefined>;
export function event(parts: { name: string; payload: z.ZodType; key?: KeyOf<z.ZodType> }): Event {
  return Object.freeze({
    kind: "event" as const,
    name: parts.name,
    payload: parts.payload,
    key: parts.key,
    source: callerOf(event),
  });
}
