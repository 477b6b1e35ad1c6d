// Suggestion: a finding with patch and proof, and the states it passes on the way to a merged pull request.
import { z } from "zod";
import { Finding } from "../../analyzers/finding.ts";
import { Declined, Patch } from "../patches/patch.ts";
import { Proof } from "../proof/proof.ts";

/**
 * open: found, not yet offered (or not proven); pull-request: offered; then merged, and after the next deployment
 * held or did-not-hold; dismissed, snoozed by a person; obsolete when the cause is gone.
 */
export const SuggestionState = z.enum([
  "open",
  "pull-request",
  "merged",
  "held",
  "did-not-hold",
  "dismissed",
  "snoozed",
  "obsolete",
]);
export type SuggestionState = z.infer<typeof SuggestionState>;

export const Verdict = z.object({
  result: z.enum(["held", "did not hold"]),
  deployment: z.string(),
  /** The finding's own measure on traffic before and after the merge, for example queries a request. */
  measure: z.string(),
  before: z.number(),
  after: z.number(),
  requests: z.int(),
});

export const Suggestion = z.object({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  detector: z.string(),
  fingerprint: z.string(),
  state: SuggestionState,
  finding: Finding,
  baseCommit: z.string(),
  patch: Patch.nullable(),
  declined: Declined.nullable(),
  proof: Proof.nullable(),
  pullRequest: z
    .object({ url: z.string(), branch: z.string(), number: z.int(), state: z.enum(["open", "merged", "closed"]) })
    .nullable(),
  verdict: Verdict.nullable(),
  dismissedReason: z.string().nullable(),
  snoozedUntil: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Suggestion = z.infer<typeof Suggestion>;
export type Verdict = z.infer<typeof Verdict>;
