// Report: the end of the demo for people; found and proven, left alone, and where to look next.

import { claim } from "../agents/suggestions/pull-request-text.ts";
import type { Suggestion } from "../agents/suggestions/suggestion.ts";
import type { Rejection } from "../analyzers/finding.ts";
import { bold, colored, dim, table } from "../cli/output.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";

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
  const minutes = Math.floor(seconds / 60);
  return minutes > 0 ? `${minutes} m ${Math.round(seconds % 60)} s` : `${seconds.toFixed(1)} s`;
}

function suggestionRow(item: Suggestion): string[] {
  const { proof, finding } = item;
  const result = proof ? claim(finding, proof) : (item.declined?.reason ?? "no patch");
  const state = item.verdict
    ? `merged, ${colored(item.verdict.result === "held" ? "green" : "red", item.verdict.result)}`
    : item.state;
  const interval = proof
    ? dim(
        `p50 ${proof.p50Ratio.value.toFixed(2)} of before (${proof.p50Ratio.low.toFixed(2)} to ${proof.p50Ratio.high.toFixed(2)})`,
      )
    : "";
  const repeated = finding.detector === "parallel-steps";
  return [
    finding.title,
    place(finding.file, finding.line),
    repeated ? result : `${result}\n${interval}`,
    item.pullRequest ? `#${item.pullRequest.number} ${state}` : state,
  ];
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
    bold("  Found and proven"),
    table(["finding", "where", "before → after", "pull request"], parts.suggestions.map(suggestionRow)),
    "",
    bold("  Looked like it, left alone"),
    table(
      ["what", "where", "why"],
      parts.rejections.map((item) => [item.subject, place(item.file, item.line), item.reason]),
    ),
    "",
    `  Inbox ${parts.inbox}   MCP ${parts.mcp}`,
    "",
  ].join("\n");
}
