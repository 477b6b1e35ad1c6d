// The decision about a trace: how many traces it stands for when it is kept, or that it is not.
import { hash } from "node:crypto";
import type { TelemetrySettings } from "../telemetry-settings.ts";
import type { OperationHistories } from "./operation-history.ts";
import { authority, type TraceFacts } from "./trace-parts.ts";

export type SamplingPolicy = Pick<TelemetrySettings["sampling"], "keepShare" | "slowQuantile" | "minPerMinute">;

/**
 * How many traces a kept one stands for: 1 over the probability of its being kept, without what was sampled before it
 * came. 0: it is not kept.
 */
export type Weight = number;

/** A share of none could not tell how many there were: sums stay true by this least one. */
export const leastShare = 0.001;

/**
 * Whether a trace of these facts is slow for its operation, which learns of its duration; undefined while the operation is
 * not known enough to tell. `now` in milliseconds.
 */
export function isSlow(
  facts: TraceFacts,
  policy: SamplingPolicy,
  histories: OperationHistories,
  now: number,
): boolean | undefined {
  if (facts.authority === authority.any) return false;
  const history = histories.of(facts.operation, now);
  const slow = history.isSlow(facts.durationMs, policy.slowQuantile);
  history.observe(facts.durationMs, now);
  return slow;
}

/**
 * Of a trace that has neither failed, nor is slow or cited: the first of its operation in a minute are kept and stand for
 * themselves, of the rest a share by lot. Which of both holds is known before the lot is drawn, so the weights are true.
 */
export function ordinaryWeight(
  traceId: string,
  facts: TraceFacts,
  policy: SamplingPolicy,
  histories: OperationHistories,
  now: number,
): Weight {
  if (histories.of(facts.operation, now).takePlace(policy.minPerMinute, now)) return 1;
  const share = Math.max(policy.keepShare, leastShare);
  return lot(traceId) < share ? 1 / share : 0;
}

/**
 * From 0 to below 1, the same for a trace everywhere. Not the bits of the id by which a sender has sampled already: the two
 * must be independent for their shares to multiply.
 */
export function lot(traceId: string): number {
  return hash("sha1", traceId, "buffer").readUIntBE(0, 6) / 2 ** 48;
}
