// Finding and rejection: what an analyzer concluded over many traces, or why it left something alone.
import { z } from "zod";

export const detectors = ["n-plus-one", "flaky-step", "parallel-steps"] as const;
export const Detector = z.enum(detectors);
export type Detector = z.infer<typeof Detector>;

/** A place in the app's source, relative to the repository's root where it is known. */
export const SourcePlace = z.object({ file: z.string(), line: z.int(), function: z.string().nullable() });
export type SourcePlace = z.infer<typeof SourcePlace>;

/** What the N+1 detector saw. */
export const NPlusOneEvidence = z.object({
  kind: z.literal("n-plus-one"),
  /** The repeated statement, normalised. */
  statement: z.string(),
  databaseSystem: z.string(),
  /** Repeats in one request: median and maximum. */
  repeats: z.object({ median: z.number(), max: z.number() }),
  /** App frames of the repeated query, innermost first. */
  frames: z.array(SourcePlace),
  /** `http.route` or workflow of the requests. */
  operation: z.string(),
});

/** What the flaky-step detector saw. */
export const FlakyStepEvidence = z.object({
  kind: z.literal("flaky-step"),
  workflow: z.string(),
  node: z.string(),
  procedure: z.string(),
  attempts: z.int(),
  failures: z.int(),
  /** Failures by `error.type`. */
  errorTypes: z.record(z.string(), z.int()),
  /** Later attempts with the same input that succeeded. */
  healed: z.object({ of: z.int(), count: z.int() }),
  /** Why it may be repeated, for example `idempotent: true, PUT with a key from the input`. */
  safeBecause: z.array(z.string()),
});

/** What the parallel-steps detector saw. */
export const ParallelStepsEvidence = z.object({
  kind: z.literal("parallel-steps"),
  workflow: z.string(),
  /** Node ids in the order they run now. */
  nodes: z.array(z.string()),
  procedures: z.array(z.string()),
  /** Median duration of each, in milliseconds. */
  durationsMs: z.array(z.number()),
  runs: z.int(),
  /** Median saving a run: sum minus longest. */
  savedMs: z.number(),
});

export const Evidence = z.discriminatedUnion("kind", [NPlusOneEvidence, FlakyStepEvidence, ParallelStepsEvidence]);

export const Finding = z.object({
  detector: Detector,
  /** Stays the same while the cause does: no line numbers, literals, deployments or times in it. */
  fingerprint: z.string(),
  service: z.string(),
  title: z.string(),
  file: z.string().nullable(),
  line: z.int().nullable(),
  /** In how many requests or runs it was seen, and of how many that ran the operation. */
  occurrences: z.int(),
  of: z.int(),
  wastedMs: z.number(),
  p50Ms: z.number(),
  p95Ms: z.number(),
  traceIds: z.array(z.string()),
  evidence: Evidence,
});
export type Finding = z.infer<typeof Finding>;

/** Something that looked like a finding; `reason` names the test it failed. */
export const Rejection = z.object({
  detector: Detector,
  fingerprint: z.string(),
  service: z.string(),
  /** What was looked at, for example `GET /catalog` or `reserve-stock, commit-stock`. */
  subject: z.string(),
  /** A stable slug of the failed test, for example `different-queries`, `shared-rows`, `no-idempotency-key`. */
  test: z.string(),
  /** One sentence for a person. */
  reason: z.string(),
  file: z.string().nullable(),
  line: z.int().nullable(),
  traceIds: z.array(z.string()),
});
export type Rejection = z.infer<typeof Rejection>;
