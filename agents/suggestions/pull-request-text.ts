// Pull request text: title, body and the verdict's comment, every number from the proof or the traces.
import type { Finding } from "../../analyzers/finding.ts";
import type { Patch } from "../patches/patch.ts";
import type { Proof } from "../proof/proof.ts";
import { code, fenced, inert, plain, safeMarkdown } from "./inert-text.ts";
import type { Suggestion, Verdict } from "./suggestion.ts";

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const format = (value: number) => number.format(value);
const percent = (share: number) => `${format(share * 100)} %`;

/** The claim in one line, led by the exact count. */
export function claim(finding: Finding, proof: Proof): string {
  switch (finding.detector) {
    case "n-plus-one":
      return `${format(proof.roundTripsPerRequest.before)} → ${format(proof.roundTripsPerRequest.after)} database round trips a request`;
    case "flaky-step":
      return `${percent(proof.failureRate.before)} → ${percent(proof.failureRate.after)} of ${proof.requests} replayed requests fail`;
    case "parallel-steps":
      return `p50 ${format(proof.p50Ratio.value)} of before (${format(proof.p50Ratio.low)} to ${format(proof.p50Ratio.high)})`;
  }
}

const titlePrefixes = { "n-plus-one": "perf", "flaky-step": "fix", "parallel-steps": "perf" } as const;
const longestTitle = 90;
/** GitHub takes 65,536 characters. */
const longestBody = 60_000;
const mostErrorTypes = 5;

export function pullRequestTitle(finding: Finding): string {
  return `${titlePrefixes[finding.detector]}: ${plain(finding.title, longestTitle)}`;
}

function evidenceRows(finding: Finding): [string, string][] {
  const rows: [string, string][] = [
    ["Seen in", `${finding.occurrences} of ${finding.of} requests or runs`],
    ["Wasted", `${format(finding.wastedMs)} ms in all`],
    ["p50 / p95 of the operation", `${format(finding.p50Ms)} / ${format(finding.p95Ms)} ms`],
  ];
  const { evidence } = finding;
  if (evidence.kind === "n-plus-one") {
    rows.push([
      "Repeats a request",
      `median ${format(evidence.repeats.median)}, at most ${format(evidence.repeats.max)}`,
    ]);
  } else if (evidence.kind === "flaky-step") {
    rows.push(
      ["Failures", `${evidence.failures} of ${evidence.attempts} attempts`],
      [
        "By error",
        Object.entries(evidence.errorTypes)
          .sort(([, a], [, b]) => b - a)
          .slice(0, mostErrorTypes)
          .map(([type, count]) => `${code(type)} × ${count}`)
          .join(", "),
      ],
      ["Healed by a later try with the same input", `${evidence.healed.count} of ${evidence.healed.of}`],
      ["Safe to repeat because", evidence.safeBecause.map(inert).join("; ")],
    );
  } else {
    rows.push(
      [
        "Steps",
        evidence.nodes
          .map((node, index) => `${code(node)} (${format(evidence.durationsMs[index] ?? 0)} ms)`)
          .join(", "),
      ],
      ["Saved a run", `${format(evidence.savedMs)} ms (median of ${evidence.runs} runs)`],
    );
  }
  return rows;
}

const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => "---"), ...rows]
    .map((row) => `| ${row.map((cell) => cell.replace(/(?<!\\)\|/g, "\\|")).join(" | ")} |`)
    .join("\n");

function proofTable(proof: Proof): string {
  const { p50Ratio } = proof;
  const rows = [
    [
      "Outputs and changed rows",
      "",
      "",
      proof.equal ? `equal in ${proof.requests} of ${proof.requests} replayed requests` : "not equal",
    ],
    [
      "Database round trips a request",
      format(proof.roundTripsPerRequest.before),
      format(proof.roundTripsPerRequest.after),
      "counted exactly",
    ],
    ["Spans a request", format(proof.spansPerRequest.before), format(proof.spansPerRequest.after), "counted exactly"],
    ["Failed requests", percent(proof.failureRate.before), percent(proof.failureRate.after), `of ${proof.requests}`],
    ...proof.conditions.map((condition) => [
      `p50, ${condition.name}`,
      `${format(condition.p50Ms.before)} ms`,
      `${format(condition.p50Ms.after)} ms`,
      `ratio ${format(condition.p50Ratio.value)} (95 % interval ${format(condition.p50Ratio.low)} to ${format(condition.p50Ratio.high)}, ${condition.boots} fresh boots of each side)`,
    ]),
    ["p95, a guard", `${format(proof.p95Ms.before)} ms`, `${format(proof.p95Ms.after)} ms`, "not a claim"],
  ];
  if (proof.conditions.length === 0) rows.push(["p50", "", "", `ratio ${format(p50Ratio.value)}`]);
  return table(["", "before", "after", "how"], rows);
}

/** The body; `links` are addresses of the dashboard. */
export function pullRequestBody(
  suggestion: Suggestion,
  patch: Patch,
  proof: Proof,
  links: { trace: (traceId: string) => string; suggestion: string },
): string {
  const { finding } = suggestion;
  const traces = finding.traceIds.slice(0, 3).map((id, index) => `[trace ${index + 1}](${links.trace(id)})`);
  const checks = proof.checks.map(
    (check) => `- ${code(check.name)} ${check.passed ? "passed" : "failed"} (${format(check.seconds)} s)`,
  );
  const body = [
    `**${claim(finding, proof)}.** ${inert(finding.title)}.`,
    "### Evidence",
    table(["Measured in production", ""], evidenceRows(finding)),
    finding.evidence.kind === "n-plus-one" ? fenced("sql", finding.evidence.statement) : "",
    traces.length > 0 ? `Examples: ${traces.join(", ")}.` : "",
    "### Cause",
    `${code(`${patch.file}:${patch.line}`)} at ${suggestion.baseCommit.slice(0, 7)}.`,
    "### What the change does",
    patch.reasoning.map((line) => `- ${safeMarkdown(line)}`).join("\n"),
    "### Proof by replay",
    `Both versions were built and booted side by side on copies of the database, without production's secrets; recorded requests were replayed against each. The unit of the time figures is a fresh boot of both sides.`,
    proofTable(proof),
    checks.length > 0 ? `The app's own checks at the patched commit:\n\n${checks.join("\n")}` : "",
    proof.normalised.length > 0 ? `Normalised before comparing: ${proof.normalised.map(safeMarkdown).join("; ")}.` : "",
    "### Not proven",
    proof.notProven.map((line) => `- ${safeMarkdown(line)}`).join("\n") || "- nothing that is known",
    "### Risk and rollback",
    `${safeMarkdown(patch.risk)} To go back, revert this commit, or run \`npx tsdev rollback\`: it takes about a second.`,
    "---",
    `[The suggestion in the inbox](${links.suggestion}). Close this pull request and it is not proposed again while its cause stays the same.`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
  return body.length > longestBody ? `${body.slice(0, longestBody)}\n\n…` : body;
}

/** The one comment after the merge. */
export function verdictComment(verdict: Verdict): string {
  const numbers = `${verdict.measure}: ${format(verdict.before)} before, ${format(verdict.after)} after, over ${verdict.requests} requests of deployment \`${verdict.deployment}\``;
  return verdict.result === "held"
    ? `**Held.** ${numbers}.`
    : `**Did not hold.** ${numbers}. The change does no harm that the proof looked for, but it does not do what it promised; revert it if you prefer the old code: \`git revert -m 1\` of the merge commit.`;
}
