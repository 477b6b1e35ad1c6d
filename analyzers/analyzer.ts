// Analyzer: the frame of a detector; SQL finds candidates, a pure judge turns each into a finding or a rejection.
import type { z } from "zod";
import type { QueryParams, TelemetryReader } from "../platform/telemetry/reader.ts";
import type { Detector, Finding, Rejection } from "./finding.ts";

/** Whose traces are looked at, and of which time. The tenant comes from the caller's identity, never from an input. */
export interface AnalysisScope {
  organizationId: string;
  project: string;
  environment: string;
  /** Only spans of this deployment; all when absent. */
  deployment?: string | undefined;
  since: Date;
  /** Not included. */
  until: Date;
}

export interface Analyzer<Candidate = unknown, Options extends z.ZodType = z.ZodType> {
  id: Detector;
  title: string;
  options: Options;
  /** Aggregates of ClickHouse; spans are never pulled one by one. */
  candidates(reader: TelemetryReader, scope: AnalysisScope, options: z.output<Options>): Promise<Candidate[]>;
  /** Pure: the same candidate always gets the same answer. */
  judge(candidate: Candidate, options: z.output<Options>): Finding | Rejection;
  /** Tests whose rejections are expected everywhere and would only be noise in a report. */
  quiet?: readonly string[];
}

/** Declares a detector; it only fixes the types of the parts to each other. */
export function analyzer<Candidate, Options extends z.ZodType>(
  parts: Analyzer<Candidate, Options>,
): Analyzer<Candidate, Options> {
  return parts;
}

/** True for a rejection. */
export function isRejection(result: Finding | Rejection): result is Rejection {
  return "test" in result;
}

/** The WHERE condition of a scope on `otel_traces`, `prefix` being a table alias with its dot. */
export function scopeCondition(scope: AnalysisScope, prefix = ""): string {
  const parts = [
    `${prefix}Organization = {organization:String}`,
    `${prefix}Project = {project:String}`,
    `${prefix}Environment = {environment:String}`,
    `${prefix}Timestamp >= fromUnixTimestamp64Milli({since:Int64})`,
    `${prefix}Timestamp < fromUnixTimestamp64Milli({until:Int64})`,
  ];
  if (scope.deployment !== undefined) parts.push(`${prefix}Deployment = {deployment:String}`);
  return parts.join(" AND ");
}

/** The values that `scopeCondition` names. */
export function scopeParams(scope: AnalysisScope): QueryParams {
  return {
    organization: scope.organizationId,
    project: scope.project,
    environment: scope.environment,
    since: scope.since.getTime(),
    until: scope.until.getTime(),
    ...(scope.deployment === undefined ? {} : { deployment: scope.deployment }),
  };
}
