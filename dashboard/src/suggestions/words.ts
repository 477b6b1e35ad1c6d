// Words: how detectors, states and headline measures of a suggestion are called on the page.
import type { Suggestion } from "../api/types.ts";
import { milliseconds, number, percent, ratio } from "../design/format.ts";

const detectorNames: Record<string, string> = {
  "n-plus-one": "N+1 queries",
  "flaky-step": "Flaky step",
  "parallel-steps": "Sequential steps",
};

export const detectorName = (detector: string) => detectorNames[detector] ?? detector;

/** What stage a suggestion is in for its reader; finer than its state where the state alone does not say what to do. */
export type Stage =
  | "offered"
  | "proven"
  | "in-work"
  | "not-proven"
  | "declined"
  | "merged"
  | "held"
  | "did-not-hold"
  | "snoozed"
  | "dismissed"
  | "obsolete";

export function stageOf(suggestion: Suggestion): Stage {
  const { state, proof, declined } = suggestion;
  if (state === "pull-request") return "offered";
  if (state !== "open") return state;
  if (declined) return "declined";
  if (!proof) return "in-work";
  return proof.equal && proof.better ? "proven" : "not-proven";
}

export const stages: Record<Stage, { title: string; tone: string; word: string }> = {
  offered: { title: "Waiting for your review", tone: "accent", word: "pull request open" },
  proven: { title: "Proven, not offered yet", tone: "accent", word: "proven" },
  "in-work": { title: "To be patched and proven", tone: "accent", word: "not proven yet" },
  "did-not-hold": { title: "Merged, did not hold", tone: "bad", word: "did not hold" },
  merged: { title: "Merged, to be measured again", tone: "accent", word: "merged" },
  held: { title: "Merged and held", tone: "good", word: "held" },
  "not-proven": { title: "Patched, not proven", tone: "warn", word: "not proven" },
  declined: { title: "Found, to be changed by hand", tone: "warn", word: "no patch" },
  snoozed: { title: "Snoozed", tone: "", word: "snoozed" },
  dismissed: { title: "Dismissed", tone: "", word: "dismissed" },
  obsolete: { title: "No longer seen", tone: "", word: "obsolete" },
};

export interface Measure {
  before: string;
  /** Null until a proof measured it. */
  after: string | null;
  unit: string;
  /** A second number, in small. */
  note: string | null;
}

/** The one number a suggestion is about: exact counts first, time only where it is the claim. */
export function measureOf({ finding, proof: replayed }: Suggestion): Measure {
  const { evidence } = finding;
  // what was measured of a change that does something else is no claim
  const proof = replayed?.equal ? replayed : null;
  const interval =
    proof && `p50 × ${ratio(proof.p50Ratio.value)} (${ratio(proof.p50Ratio.low)}–${ratio(proof.p50Ratio.high)})`;
  switch (evidence.kind) {
    case "n-plus-one":
      return proof
        ? {
            before: number(proof.roundTripsPerRequest.before),
            after: number(proof.roundTripsPerRequest.after),
            unit: "round trips a request",
            note: interval,
          }
        : {
            before: number(evidence.repeats.median),
            after: null,
            unit: "repeats of one query a request",
            note: null,
          };
    case "flaky-step":
      return proof
        ? {
            before: percent(proof.failureRate.before),
            after: percent(proof.failureRate.after),
            unit: "of requests fail",
            note: interval,
          }
        : {
            before: percent(evidence.failures / Math.max(1, evidence.attempts)),
            after: null,
            unit: "of attempts fail",
            note: null,
          };
    case "parallel-steps":
      return proof
        ? {
            before: milliseconds(proof.p50Ms.before),
            after: milliseconds(proof.p50Ms.after),
            unit: "p50 of the run",
            note: interval,
          }
        : { before: milliseconds(evidence.savedMs), after: null, unit: "could be saved a run", note: null };
  }
}
