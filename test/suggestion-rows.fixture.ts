// For tests: suggestions as the pipeline stores them, put into a running platform's own store without the minutes of a proof.

import type { Proof } from "../agents/proof/proof.ts";
import { Suggestions } from "../agents/suggestions/suggestions.ts";
import type { Finding, Rejection } from "../analyzers/finding.ts";
import { openEmbeddedPostgres } from "../platform/store/embedded-postgres.ts";
import { openStore } from "../platform/store/store.ts";

export interface SeededPatch {
  path: string;
  before: string;
  after: string;
}

/** What the tests need of a platform's store, which it opens beside the platform. */
export async function openSuggestionRows(postgresDirectory: string) {
  const { url } = await openEmbeddedPostgres({ directory: postgresDirectory });
  const store = await openStore({ url });
  const suggestions = new Suggestions(store.db);
  return {
    /** Records an analysis of what is live in a project's production; answers the ids of its suggestions. */
    async record(project: string, findings: Finding[], rejections: Rejection[] = []): Promise<string[]> {
      const row = await store.db
        .selectFrom("deployments")
        .innerJoin("environments", "environments.id", "deployments.environment_id")
        .innerJoin("projects", "projects.id", "deployments.project_id")
        .selectAll("deployments")
        .where("projects.name", "=", project)
        .where("environments.name", "=", "production")
        .where("deployments.status", "=", "live")
        .executeTakeFirstOrThrow();
      const place = {
        organizationId: row.organization_id,
        projectId: row.project_id,
        environmentId: row.environment_id,
      };
      const made = await suggestions.record(place, {
        findings,
        rejections,
        deploymentId: row.id,
        baseCommit: row.commit,
      });
      return made.map((one) => one.id);
    },
    /** Gives a suggestion its patch and a proof that was equal and better. */
    async prove(id: string, finding: Finding, patch: SeededPatch, proof: Proof): Promise<void> {
      await suggestions.change(id, {
        patch: {
          detector: finding.detector,
          fingerprint: finding.fingerprint,
          file: patch.path,
          line: finding.line ?? 1,
          files: [patch],
          diff: "",
          reasoning: ["`nameOf` is asked once for the whole list."],
          risk: "All names are in memory at once.",
        },
        proof,
      });
    },
    close: () => store.close(),
  };
}

export function finding(fingerprint: string, title: string, traceIds: string[] = []): Finding {
  return {
    detector: "n-plus-one",
    fingerprint,
    service: "noisy",
    title,
    file: "orders.ts",
    line: 3,
    occurrences: 40,
    of: 50,
    wastedMs: 1234,
    p50Ms: 20,
    p95Ms: 40,
    traceIds,
    evidence: {
      kind: "n-plus-one",
      statement: "SELECT name FROM customers WHERE id = $1",
      databaseSystem: "postgresql",
      repeats: { median: 50, max: 50 },
      frames: [{ file: "orders.ts", line: 3, function: "newest" }],
      operation: "GET /orders",
    },
  };
}

export function proofOf(baseCommit: string, patchCommit: string): Proof {
  const time = { boots: 4, p50Ms: { before: 14, after: 2 }, p50Ratio: { value: 0.14, low: 0.1, high: 0.2 } };
  const p95Ms = { before: 40, after: 8 };
  return {
    id: "prf_seeded",
    baseCommit,
    patchCommit,
    equal: true,
    requests: 73,
    roundTripsPerRequest: { before: 51, after: 2 },
    spansPerRequest: { before: 52, after: 3 },
    failureRate: { before: 0, after: 0 },
    ...time,
    p95Ms,
    conditions: [{ name: "as recorded", ...time, p95Ms }],
    checks: [{ name: "test", passed: true, seconds: 2.5, output: "ok" }],
    normalised: ["the order of keys in JSON objects"],
    notProven: ["concurrent requests: they were replayed one at a time"],
    better: true,
    differences: [],
    seconds: 40,
  };
}
