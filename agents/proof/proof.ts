// Proof: what a replay of recorded requests against both versions measured; the second witness of a suggestion.
import { z } from "zod";

const BeforeAfter = z.object({ before: z.number(), after: z.number() });

/** A ratio after/before with its 95 % interval, the unit being one fresh boot of both sides. */
export const RatioInterval = z.object({ value: z.number(), low: z.number(), high: z.number() });

export const ProofCondition = z.object({
  /** `as recorded`, `10x rows (simulated)`, `1 ms database delay (simulated)`. */
  name: z.string(),
  boots: z.int(),
  p50Ms: BeforeAfter,
  p50Ratio: RatioInterval,
  p95Ms: BeforeAfter,
});

export const Proof = z.object({
  id: z.string(),
  baseCommit: z.string(),
  patchCommit: z.string(),
  /** True when every output and every changed row was equal after declared normalisation. */
  equal: z.boolean(),
  /** How many recorded requests were replayed on each side for equality. */
  requests: z.int(),
  boots: z.int(),
  roundTripsPerRequest: BeforeAfter,
  spansPerRequest: BeforeAfter,
  /** Share of the replayed requests that failed, 0 to 1. */
  failureRate: BeforeAfter,
  p50Ms: BeforeAfter,
  p50Ratio: RatioInterval,
  p95Ms: BeforeAfter,
  conditions: z.array(ProofCondition),
  /** The app's own checks at the patched commit: `npm run typecheck`, `npm test`. */
  checks: z.array(z.object({ name: z.string(), passed: z.boolean(), seconds: z.number(), output: z.string() })),
  /** What was normalised before comparing, one line each. */
  normalised: z.array(z.string()),
  notProven: z.array(z.string()),
  /** Better by the measure that the finding is about. */
  better: z.boolean(),
  /** The first differences, when not equal: what and where. */
  differences: z.array(z.string()),
  seconds: z.number(),
});
export type Proof = z.infer<typeof Proof>;
