// When a partner fails: decided by the seed, the order and how often that order was tried, never by the clock.
import { createHash } from "node:crypto";

export type Failure = "unavailable" | "reset";

/** Share of the orders whose first try fails. */
const failingShare = 0.06;

/** A number from 0 up to but not including 1 that is always the same for the same words. */
export function fraction(...words: (string | number)[]): number {
  return createHash("sha256").update(words.join("\n")).digest().readUInt32BE(0) / 2 ** 32;
}

/** How the given try (from 1) of an order fails, if it does. A second try never fails. */
export function failureOf(seed: number, service: string, order: string, attempt: number): Failure | undefined {
  const drawn = fraction(seed, service, order);
  if (attempt > 1 || drawn >= failingShare) return undefined;
  return drawn < failingShare / 2 ? "reset" : "unavailable";
}
