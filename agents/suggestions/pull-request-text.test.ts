// The text of pull requests with hostile text from traffic and source in every place: shown, and without effect.
import { describe, expect, test } from "vitest";
import type { Finding } from "../../analyzers/finding.ts";
import { pullRequestBody, pullRequestTitle, verdictComment } from "./pull-request-text.ts";
import { findingOf, patchOf, proofOf } from "./suggestion.fixture.ts";
import type { Suggestion } from "./suggestion.ts";

const hostile =
  "x` | </td><img src=//evil.test onerror=alert(1)> ```\n# Heading\n@everyone fixes #12 [click](https://evil.test) https://evil.test \u202edrow";
const links = {
  trace: (id: string) => `http://localhost/traces/${id}`,
  suggestion: "http://localhost/suggestions/sug_1",
};
const suggestionOf = (finding: Finding) => ({ finding, baseCommit: "a".repeat(40) }) as Suggestion;
const bodyOf = (finding: Finding, more: { patch?: object; proof?: object } = {}) =>
  pullRequestBody(suggestionOf(finding), patchOf(more.patch), proofOf(more.proof), links);

/** What is left of Markdown that GitHub reads as such: no code blocks, no code spans, no escaped characters. */
function active(markdown: string): string {
  return markdown
    .replace(/^(`{3,})[^\n]*\n[\s\S]*?\n\1$/gm, "")
    .replace(/(?<![\\`])(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, "")
    .replace(/\\./g, "");
}

function harmless(markdown: string): void {
  const text = active(markdown);
  expect(text).not.toMatch(/<img|<\/td>/);
  expect(text).not.toMatch(/@everyone/);
  expect(text).not.toMatch(/#12/);
  expect(text).not.toMatch(/\]\(https:\/\/evil/);
  expect(text).not.toMatch(/https:\/\/evil/);
  expect(text).not.toMatch(/^# Heading/m);
  expect(markdown).not.toContain("\u202e");
}

test("a title is one line and short, and mentions nobody", () => {
  const title = pullRequestTitle(findingOf({ title: `${hostile} ${"😀".repeat(200)}` }));
  expect(title).not.toMatch(/[\n\r]/);
  expect([...title].length).toBeLessThanOrEqual(100);
  expect(title).not.toMatch(/@everyone|#12/);
  expect(title.isWellFormed()).toBe(true);
  expect(pullRequestTitle(findingOf())).toBe("perf: N+1 in GET /orders");
});

describe("hostile text does nothing in the body", () => {
  test("of an N+1: title and statement", () => {
    const evidence = { ...findingOf().evidence, statement: `SELECT '\`\`\`\`' -- ${hostile}` } as Finding["evidence"];
    const body = bodyOf(findingOf({ title: hostile, evidence }));
    harmless(body);
    expect(body).toContain("`````sql");
  });

  test("of a flaky step: names of errors and reasons", () => {
    const body = bodyOf(
      findingOf({
        detector: "flaky-step",
        evidence: {
          kind: "flaky-step",
          workflow: hostile,
          node: hostile,
          procedure: hostile,
          attempts: 10,
          failures: 2,
          errorTypes: { [hostile]: 2 },
          healed: { of: 2, count: 2 },
          safeBecause: [hostile],
        },
      }),
    );
    harmless(body);
  });

  test("of steps in a row: names of steps; a table's row stays one row", () => {
    const body = bodyOf(
      findingOf({
        detector: "parallel-steps",
        evidence: {
          kind: "parallel-steps",
          workflow: "w",
          nodes: [hostile, "b"],
          procedures: [],
          durationsMs: [1, 2],
          runs: 10,
          savedMs: 1,
        },
      }),
    );
    harmless(body);
    const row = body.split("\n").find((line) => line.startsWith("| Steps")) ?? "";
    expect(row.match(/(?<!\\)\|/g)).toHaveLength(3);
  });

  test("of a patch and a proof", () => {
    harmless(
      bodyOf(findingOf(), {
        patch: { file: "src/`@everyone`.ts", reasoning: [hostile], risk: hostile },
        proof: {
          notProven: [hostile],
          normalised: [hostile],
          checks: [{ name: hostile, passed: true, seconds: 1, output: "" }],
        },
      }),
    );
  });
});

test("a code span in our own reasoning stays one", () => {
  const body = bodyOf(findingOf(), { patch: { reasoning: ["`loadAll` asks with `ANY($1)` once, for a*b."] } });
  expect(body).toContain("- `loadAll` asks with `ANY($1)` once, for a\\*b.");
});

test("a body never exceeds what GitHub takes", () => {
  const evidence = { ...findingOf().evidence, statement: "x".repeat(200_000) } as Finding["evidence"];
  const notProven = Array.from({ length: 500 }, (_, index) => `${index} ${"y".repeat(500)}`);
  expect(bodyOf(findingOf({ evidence }), { proof: { notProven } }).length).toBeLessThan(65_536);
});

test("the comment after the merge says held or did not hold, with the numbers", () => {
  const verdict = { deployment: "dep_1", measure: "database queries a request", before: 51, after: 2, requests: 40 };
  expect(verdictComment({ ...verdict, result: "held" })).toMatch(/Held.*51 before, 2 after, over 40 requests/);
  expect(verdictComment({ ...verdict, result: "did not hold" })).toMatch(/Did not hold.*revert/);
});
