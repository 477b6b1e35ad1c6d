// For tests of suggestions: a finding, a patch and a proof as the contracts have them.
import { Finding } from "../../analyzers/finding.ts";
import { Patch } from "../patches/patch.ts";
import { Proof } from "../proof/proof.ts";

export function findingOf(more: Partial<Finding> = {}): Finding {
  return Finding.parse({
    detector: "n-plus-one",
    fingerprint: "f1",
    service: "shop",
    title: "N+1 in GET /orders",
    file: "src/orders.ts",
    line: 41,
    occurrences: 80,
    of: 100,
    wastedMs: 1200,
    p50Ms: 20,
    p95Ms: 40,
    traceIds: ["a".repeat(32)],
    evidence: {
      kind: "n-plus-one",
      statement: "SELECT * FROM customers WHERE id = $1",
      databaseSystem: "postgresql",
      repeats: { median: 50, max: 60 },
      frames: [],
      operation: "GET /orders",
    },
    ...more,
  });
}

export function patchOf(more: Partial<Patch> = {}): Patch {
  return Patch.parse({
    detector: "n-plus-one",
    fingerprint: "f1",
    file: "src/orders.ts",
    line: 41,
    files: [{ path: "src/orders.ts", before: "before\n", after: "after\n" }],
    diff: "-before\n+after\n",
    reasoning: ["One query asks for all rows."],
    risk: "Low.",
    ...more,
  });
}

export function proofOf(more: Partial<Proof> = {}): Proof {
  return Proof.parse({
    id: "prf_1",
    baseCommit: "a".repeat(40),
    patchCommit: "b".repeat(40),
    equal: true,
    requests: 50,
    boots: 5,
    roundTripsPerRequest: { before: 51, after: 2 },
    spansPerRequest: { before: 52, after: 3 },
    failureRate: { before: 0, after: 0 },
    p50Ms: { before: 20, after: 6 },
    p50Ratio: { value: 0.3, low: 0.28, high: 0.32 },
    p95Ms: { before: 40, after: 12 },
    conditions: [],
    checks: [{ name: "npm test", passed: true, seconds: 2, output: "" }],
    normalised: [],
    notProven: [],
    better: true,
    differences: [],
    seconds: 10,
    ...more,
  });
}
