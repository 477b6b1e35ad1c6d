// Analyze: runs every detector over one environment's traces and ranks what they found.
import { loadModule } from "libpg-query";
import type { TelemetryReader } from "../platform/telemetry/reader.ts";
import { type AnalysisScope, type Analyzer, isRejection } from "./analyzer.ts";
import type { Detector, Finding, Rejection } from "./finding.ts";
import { flakyStep } from "./flaky-step.ts";
import { nPlusOne } from "./n-plus-one.ts";
import { parallelSteps } from "./parallel-steps.ts";

export type { AnalysisScope } from "./analyzer.ts";

/** Every detector, in the order of reports. */
export const analyzers: readonly Analyzer[] = [nPlusOne, flakyStep, parallelSteps] as unknown as readonly Analyzer[];

export interface AnalyzeOptions {
  /** Only these detectors; all when absent. */
  only?: readonly Detector[];
  /** Options of a detector by its id, checked against its schema. */
  detectors?: Partial<Record<Detector, Record<string, unknown>>>;
  /** Also the rejections that are expected everywhere, such as steps that need each other's output. */
  explain?: boolean;
}

export interface Analysis {
  /** Most wasted time first; one for each fingerprint. */
  findings: Finding[];
  rejections: Rejection[];
}

/** Runs the detectors over the scope's traces. Reads only; the same traces give the same answer. */
export async function analyze(
  reader: TelemetryReader,
  scope: AnalysisScope,
  options: AnalyzeOptions = {},
): Promise<Analysis> {
  await loadModule();
  const findings = new Map<string, Finding>();
  const rejections = new Map<string, Rejection>();
  for (const detector of analyzers) {
    if (options.only && !options.only.includes(detector.id)) continue;
    const settings = detector.options.parse(options.detectors?.[detector.id] ?? {});
    for (const candidate of await detector.candidates(reader, scope, settings)) {
      const result = detector.judge(candidate, settings);
      if (isRejection(result)) {
        if (options.explain !== true && detector.quiet?.includes(result.test)) continue;
        if (!rejections.has(result.fingerprint)) rejections.set(result.fingerprint, result);
      } else {
        const known = findings.get(result.fingerprint);
        if (known === undefined || known.wastedMs < result.wastedMs) findings.set(result.fingerprint, result);
      }
    }
  }
  const ranked = [...findings.values()].sort((a, b) => b.wastedMs - a.wastedMs);
  return {
    findings: withoutSharedNodes(ranked),
    // A cause that is reported is not also explained away.
    rejections: [...rejections.values()].filter((rejection) => !findings.has(rejection.fingerprint)),
  };
}

/** Two findings about joining one step with its neighbours cannot both be patched: the larger saving stays. */
function withoutSharedNodes(ranked: readonly Finding[]): Finding[] {
  const taken = new Set<string>();
  return ranked.filter((finding) => {
    if (finding.evidence.kind !== "parallel-steps") return true;
    const { workflow, nodes } = finding.evidence;
    const keys = nodes.map((node) => JSON.stringify([finding.service, workflow, node]));
    if (keys.some((key) => taken.has(key))) return false;
    for (const key of keys) taken.add(key);
    return true;
  });
}
