// Result: what `npm run demo -- --once --json` prints, made of what the platform's operations answered.

import type { Suggestion } from "../agents/suggestions/suggestion.ts";
import type { Rejection } from "../analyzers/finding.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";

export interface DemoResult {
  platform: { url: string; dashboard: string };
  deployment: { id: string; url: string; commit: string; pushToHealthySeconds: number | null };
  /** Every deployment of the run: one for the push, one for the merge. */
  deployments: { id: string; cause: string; commit: string; status: string }[];
  pullRequests: { number: number; branch: string; state: string; comments: number }[];
  spans: number;
  requests: number;
  findings: {
    fingerprint: string;
    detector: string;
    service: string;
    file: string | null;
    line: number | null;
    occurrences: number;
    wastedMs: number;
  }[];
  rejections: { detector: string; reason: string; subject: string; file: string | null; line: number | null }[];
  suggestions: object[];
  merged: { suggestion: string; verdict: string; measure: string; before: number; after: number } | null;
  seconds: number;
}

/** One suggestion as the result shows it. */
export function suggestionResult(item: Suggestion): object {
  const { proof } = item;
  return {
    id: item.id,
    detector: item.detector,
    fingerprint: item.fingerprint,
    state: item.state,
    title: item.finding.title,
    file: item.finding.file,
    line: item.finding.line,
    pullRequest: item.pullRequest && {
      url: item.pullRequest.url,
      branch: item.pullRequest.branch,
      number: item.pullRequest.number,
    },
    proof: proof && {
      equal: proof.equal,
      requests: proof.requests,
      boots: proof.boots,
      roundTripsPerRequest: proof.roundTripsPerRequest,
      spansPerRequest: proof.spansPerRequest,
      failureRate: proof.failureRate,
      p50Ms: proof.p50Ms,
      p50Ratio: proof.p50Ratio,
      p95Ms: proof.p95Ms,
      notProven: proof.notProven,
    },
    ...(item.declined ? { declined: item.declined.reason } : {}),
  };
}

export function demoResult(parts: {
  platform: { url: string; dashboard: string };
  deployment: Deployment;
  deployments: Deployment[];
  pullRequests: DemoResult["pullRequests"];
  spans: number;
  requests: number;
  suggestions: Suggestion[];
  rejections: Rejection[];
  merged: Suggestion | undefined;
  seconds: number;
}): DemoResult {
  const { deployment, merged } = parts;
  return {
    platform: { url: parts.platform.url, dashboard: parts.platform.dashboard },
    deployment: {
      id: deployment.id,
      url: deployment.url,
      commit: deployment.commit,
      pushToHealthySeconds: deployment.pushToHealthySeconds,
    },
    deployments: parts.deployments.map(({ id, cause, commit, status }) => ({ id, cause, commit, status })),
    pullRequests: parts.pullRequests,
    spans: parts.spans,
    requests: parts.requests,
    findings: parts.suggestions.map(({ finding }) => ({
      fingerprint: finding.fingerprint,
      detector: finding.detector,
      service: finding.service,
      file: finding.file,
      line: finding.line,
      occurrences: finding.occurrences,
      wastedMs: finding.wastedMs,
    })),
    rejections: parts.rejections.map(({ detector, reason, subject, file, line }) => ({
      detector,
      reason,
      subject,
      file,
      line,
    })),
    suggestions: parts.suggestions.map(suggestionResult),
    merged: merged?.verdict
      ? {
          suggestion: merged.id,
          verdict: merged.verdict.result,
          measure: merged.verdict.measure,
          before: merged.verdict.before,
          after: merged.verdict.after,
        }
      : null,
    seconds: parts.seconds,
  };
}
