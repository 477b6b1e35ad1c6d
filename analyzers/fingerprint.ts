// Fingerprint of a finding: the same while its cause is the same, over runs, deployments, line shifts and literals.
import { createHash } from "node:crypto";
import type { Detector } from "./finding.ts";

/**
 * Sixteen hexadecimal digits over the detector and names that outlive a deployment: service, operation or workflow,
 * normalised statement or node names, file. Line numbers, literal values, times and ids are never parts.
 */
export function fingerprint(detector: Detector, ...parts: readonly string[]): string {
  const canonical = JSON.stringify([detector, ...parts.map((part) => part.replace(/\s+/g, " ").trim())]);
  return createHash("sha256").update(canonical).digest("hex").slice(0, 16);
}
