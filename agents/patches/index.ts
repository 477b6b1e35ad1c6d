// PatchFor: the codemod of a finding's detector, run on the files of a checkout.
import type { Finding } from "../../analyzers/finding.ts";
import { addRetry } from "./add-retry.ts";
import { batchNPlusOne } from "./batch-n-plus-one.ts";
import { joinParallel } from "./join-parallel.ts";
import type { PatchResult, ReadSource } from "./patch.ts";
import type { SqlTypes } from "./sql-types.ts";

export interface PatchOptions {
  /** Types that the app's database infers; without them the N+1 codemod declines with `unknown-key-type`. */
  sqlTypes?: SqlTypes | undefined;
}

/**
 * The patch for a finding, or why the codemod declined. Reads files through `read` alone, executes nothing, and the
 * same files always give the same patch.
 */
export async function patchFor(finding: Finding, read: ReadSource, options: PatchOptions = {}): Promise<PatchResult> {
  switch (finding.evidence.kind) {
    case "n-plus-one":
      return batchNPlusOne(finding, finding.evidence, read, options.sqlTypes);
    case "flaky-step":
      return addRetry(finding, finding.evidence, read);
    case "parallel-steps":
      return joinParallel(finding, finding.evidence, read);
  }
}
