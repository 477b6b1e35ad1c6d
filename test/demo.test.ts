// The main job, whole: `npm run demo -- --once --json` from an empty data directory.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DemoResult } from "../demo/result.ts";
import { processesOf, runDemo } from "./demo-run.ts";

/** Generous: a laptop that is busy with other things must not fail here; the time itself is the benchmark's matter. */
const limitMs = 12 * 60_000;

interface ResultSuggestion {
  detector: string;
  state: string;
  pullRequest: { number: number; url: string; branch: string } | null;
  proof: {
    equal: boolean;
    requests: number;
    spansPerRequest: { before: number; after: number };
    roundTripsPerRequest: { before: number; after: number };
  } | null;
}

describe("the demo", () => {
  const data = mkdtempSync(join(tmpdir(), "tsdev-demo-test-"));
  let result: DemoResult;
  let suggestions: ResultSuggestion[];

  beforeAll(async () => {
    const run = await runDemo(data);
    expect(run.told).not.toContain('"error"');
    expect(run.code).toBe(0);
    if (!run.result) throw new Error("no result");
    result = run.result;
    suggestions = result.suggestions as ResultSuggestion[];
  }, limitMs);

  afterAll(() => rmSync(data, { recursive: true, force: true }));

  test("one push is one deployment, one merge another", () => {
    expect(result.deployments.map((one) => [one.cause, one.status])).toEqual([
      ["merge", "live"],
      ["push", "superseded"],
    ]);
    expect(result.deployment.pushToHealthySeconds).toBeGreaterThan(0);
  });

  test("three causes are found, each patched, proven equal and offered as a pull request", () => {
    expect(suggestions.map((one) => one.detector).sort()).toEqual(["flaky-step", "n-plus-one", "parallel-steps"]);
    for (const suggestion of suggestions) {
      expect(suggestion.proof?.equal).toBe(true);
      expect(suggestion.proof?.requests).toBeGreaterThan(20);
      expect(suggestion.pullRequest?.branch).toMatch(/^tsdev\//);
    }
    expect(new Set(result.pullRequests.map((one) => one.branch)).size).toBe(3);
  });

  test("the N+1 falls from one query a row to two in all", () => {
    const proof = suggestions.find((one) => one.detector === "n-plus-one")?.proof;
    expect(proof?.roundTripsPerRequest.after).toBe(2);
    expect((proof?.spansPerRequest.before ?? 0) / (proof?.spansPerRequest.after ?? 1)).toBeGreaterThan(5);
  });

  test("what looks like it is left alone, with the reason", () => {
    const reasons = result.rejections.map((one) => `${one.subject}: ${one.reason}`).join("\n");
    expect(reasons).toMatch(/GET \/catalog: \d+ queries, all different/);
    expect(reasons).toMatch(/pages of one list/);
    expect(reasons).toMatch(/both write inventory/);
    expect(reasons).toMatch(/charge-card: .*no idempotency key/);
  });

  test("the merged change held on the new deployment, and the pull request has one comment that says so", () => {
    expect(result.merged?.verdict).toBe("held");
    expect(result.merged?.after).toBeLessThan(result.merged?.before ?? 0);
    expect(result.pullRequests.filter((one) => one.state === "merged")).toMatchObject([{ comments: 1 }]);
  });

  test("nothing it started is left running", () => {
    expect(processesOf(data)).toEqual([]);
  });
});
