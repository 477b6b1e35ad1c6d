// Report: the end of the demo for people; found and proven, left alone, and where to look next.

import type { Suggestion } from "../agents/suggestions/suggestion.ts";
import type { Rejection } from "../analyzers/finding.ts";
import { bold, colored, dim, table } from "../cli/output.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";

/** Columns of the reasons, so that a report fits a terminal of 110. */
const whyWidth = 62;

export interface ReportParts {
  deployment: Deployment;
  requests: number;
  spans: number;
  suggestions: Suggestion[];
  rejections: Rejection[];
  merged: Suggestion | undefined;
  seconds: number;
  inbox: string;
  mcp: string;
}

const place = (file: string | null, line: number | null) => (file ? `${file}:${line ?? "?"}` : "");

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes > 0 ? `${minutes} m ${whole % 60} s` : `${seconds.toFixed(1)} s`;
}

/** What was found, in few words. */
function subject({ evidence }: Suggestion["finding"]): string {
  switch (evidence.kind) {
    case "n-plus-one":
      return `N+1 in ${evidence.operation}`;
    case "flaky-step":
      return `flaky step ${evidence.node}`;
    case "parallel-steps":
      return `sequential steps in ${evidence.workflow}`;
  }
}

/** The measure that the finding is about; the time beside it where that is another one. */
function beforeAfter({ finding, proof, declined }: Suggestion): string {
  if (!proof) return declined?.reason ?? "no patch";
  const { roundTripsPerRequest: trips, failureRate, p50Ratio } = proof;
  const time = `p50 ${p50Ratio.value.toFixed(2)} of before (${p50Ratio.low.toFixed(2)} to ${p50Ratio.high.toFixed(2)})`;
  switch (finding.detector) {
    case "n-plus-one":
      return `${trips.before} → ${trips.after} queries a request\n${dim(time)}`;
    case "flaky-step":
      return `${(failureRate.before * 100).toFixed(1)} → ${(failureRate.after * 100).toFixed(1)} % of ${proof.requests} failed`;
    case "parallel-steps":
      return time;
  }
}

function suggestionRow(item: Suggestion): string[] {
  const { finding, verdict, pullRequest } = item;
  const held = verdict && `merged, ${colored(verdict.result === "held" ? "green" : "red", verdict.result)}`;
  const state = held ?? (pullRequest ? pullRequest.state : item.state);
  const offered = pullRequest ? `#${pullRequest.number} ${state}` : state;
  return [`  ${subject(finding)}`, place(finding.file, finding.line), beforeAfter(item), offered];
}

export function report(parts: ReportParts): string {
  const { deployment } = parts;
  return [
    "",
    bold(`tsdev demo · ${deployment.service} · ${clock(parts.seconds)}`),
    "",
    table(
      [],
      [
        [
          "  deployed",
          `${deployment.commit.slice(0, 7)}  ${deployment.url}`,
          clock(deployment.pushToHealthySeconds ?? 0),
        ],
        ["  traced", `${parts.requests.toLocaleString("en")} requests, ${parts.spans.toLocaleString("en")} spans`, ""],
      ],
    ),
    "",
    table([bold("  Found and proven"), "", "before → after", "pull request"], parts.suggestions.map(suggestionRow)),
    "",
    table(
      [bold("  Looked like it, left alone"), "", ""],
      parts.rejections.map((item) => [`  ${item.subject}`, place(item.file, item.line), item.reason]),
      { widths: [null, null, whyWidth] },
    ),
    "",
    `  Inbox ${parts.inbox}   MCP ${parts.mcp}`,
    "",
  ].join("\n");
}
