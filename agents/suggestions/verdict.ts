// Verdict: whether a merged change held, by the finding's own measure on the traffic before and after it.
import type { Finding } from "../../analyzers/finding.ts";
import { serverOperation } from "../../analyzers/operations.ts";
import type { TelemetryReader } from "../../platform/telemetry/reader.ts";
import type { Verdict } from "./suggestion.ts";

/** Fewer requests say nothing; the verdict waits for more. */
const leastRequests = 20;
/** How likely a flaky step may be to show no failure by luck. */
const luck = 0.05;

/** So many runs that a step which still failed at the old rate would show it: (1 - rate)^n < luck. */
function enoughFor(detector: Finding["detector"], rateBefore: number): number {
  if (detector !== "flaky-step" || rateBefore <= 0 || rateBefore >= 1) return leastRequests;
  return Math.max(leastRequests, Math.ceil(Math.log(luck) / Math.log(1 - rateBefore)));
}

export interface Scope {
  organizationId: string;
  project: string;
  environment: string;
}

interface Measured {
  value: number;
  requests: number;
}

const scoped = `Organization = {organization:String} AND Project = {project:String} AND Environment = {environment:String} AND Deployment = {deployment:String}`;

/** One number of a deployment's traffic: what the finding is about. */
const measures = {
  "n-plus-one": {
    name: "database queries a request",
    sql: `WITH roots AS (SELECT TraceId FROM otel_traces WHERE ${scoped} AND SpanKind = 'Server' AND ${serverOperation} = {operation:String})
      SELECT count() / greatest((SELECT count() FROM roots), 1) AS value, (SELECT count() FROM roots) AS requests
      FROM otel_traces WHERE ${scoped} AND SpanAttributes['db.system.name'] != '' AND TraceId IN (SELECT TraceId FROM roots)`,
  },
  "flaky-step": {
    name: "share of the step's runs that failed",
    sql: `SELECT countIf(StatusCode = 'Error') / greatest(count(), 1) AS value, count() AS requests
      FROM otel_traces WHERE ${scoped} AND SpanName = {operation:String} AND SpanAttributes['tsdev.workflow.name'] = {workflow:String}`,
  },
  "parallel-steps": {
    name: "median duration of the workflow in milliseconds",
    sql: `SELECT ifNotFinite(quantileExactIf(0.5)(Duration, StatusCode != 'Error') / 1e6, 0) AS value, count() AS requests
      FROM otel_traces WHERE ${scoped} AND SpanName = {operation:String}`,
  },
} as const;

async function measure(reader: TelemetryReader, scope: Scope, finding: Finding, deployment: string): Promise<Measured> {
  const { evidence } = finding;
  const subject = {
    "n-plus-one": () => ({ operation: evidence.kind === "n-plus-one" ? evidence.operation : "", workflow: "" }),
    "flaky-step": () => ({
      operation: evidence.kind === "flaky-step" ? `step ${evidence.node}` : "",
      workflow: evidence.kind === "flaky-step" ? evidence.workflow : "",
    }),
    "parallel-steps": () => ({
      operation: evidence.kind === "parallel-steps" ? `workflow ${evidence.workflow}` : "",
      workflow: "",
    }),
  }[finding.detector]();
  const [row] = await reader.query<Measured>(measures[finding.detector].sql, {
    organization: scope.organizationId,
    project: scope.project,
    environment: scope.environment,
    deployment,
    ...subject,
  });
  return { value: Number(row?.value ?? 0), requests: Number(row?.requests ?? 0) };
}

/**
 * Compares the deployment before the merge with the one after it. `stillFound` is whether the detector, run on the new
 * deployment alone, finds the same fingerprint. Null while there is too little traffic to say, and where that of before is
 * no longer stored.
 */
export async function verdictFor(
  reader: TelemetryReader,
  scope: Scope,
  finding: Finding,
  deployments: { before: string; after: string; stillFound: boolean },
): Promise<Verdict | null> {
  const before = await measure(reader, scope, finding, deployments.before);
  const after = await measure(reader, scope, finding, deployments.after);
  if (after.requests < enoughFor(finding.detector, before.value) || before.requests === 0) return null;
  return {
    result: !deployments.stillFound && after.value < before.value ? "held" : "did not hold",
    deployment: deployments.after,
    measure: measures[finding.detector].name,
    before: before.value,
    after: after.value,
    requests: after.requests,
  };
}
