// When a partner fails: decided by the seed, the order and how often that order was tried, never by the clock.
import { createHash } from "node:crypto";

export type Failure = "unavailable" | "reset";

/** One order of so many fails at its first try: 6 %. */
const oneOf = 16;

/** A number from 0 up to but not including 1 that is always the same for the same words. */
export function fraction(...words: (string | number)[]): number {
  return createHash("sha256").update(words.join("\n")).digest().readUInt32BE(0) / 2 ** 32;
}

/**
 * How the given try (from 1) of an order fails, if it does. Of every 16 orders in a row one fails, so that failures are
 * spread over the time and never come as a burst. A second try never fails.
 */
export function failureOf(seed: number, service: string, order: string, attempt: number): Failure | undefined {
  const number = Number(/\d{0,9}$/.exec(order)?.[0] ?? 0);
  const name = order.replace(/\d{0,9}$/, "");
  const place = Math.floor(oneOf * fraction(seed, service, name, Math.floor(number / oneOf)));
  if (attempt > 1 || number % oneOf !== place) return undefined;
  return fraction(seed, service, "how", order) < 0.5 ? "reset" : "unavailable";
}
