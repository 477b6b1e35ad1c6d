// Patch: a source change that a codemod made for a finding, or the reason why it declined.
import { z } from "zod";

export const Patch = z.object({
  detector: z.string(),
  fingerprint: z.string(),
  /** Where the cause is. */
  file: z.string(),
  line: z.int(),
  /** Whole new text of every changed file. */
  files: z.array(z.object({ path: z.string(), before: z.string(), after: z.string() })),
  /** Unified diff of all of it. */
  diff: z.string(),
  /** What the codemod did and what it checked, one sentence each, for the reader of the pull request. */
  reasoning: z.array(z.string()),
  risk: z.string(),
});
export type Patch = z.infer<typeof Patch>;

export const Declined = z.object({
  detector: z.string(),
  fingerprint: z.string(),
  file: z.string().nullable(),
  line: z.int().nullable(),
  /** A stable slug of the failed condition, for example `early-exit`, `unknown-call`. */
  condition: z.string(),
  reason: z.string(),
});
export type Declined = z.infer<typeof Declined>;

export type PatchResult = { ok: true; patch: Patch } | { ok: false; declined: Declined };

/** Reads a file of the checkout by its path from the repository's root, or null. Codemods touch nothing else. */
export type ReadSource = (path: string) => Promise<string | null>;
