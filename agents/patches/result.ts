// Result: turns an edit into a patch after checking that it parses and that it touched nothing else, or declines.
import { createTwoFilesPatch } from "diff";
import type MagicString from "magic-string";
import type { Finding } from "../../analyzers/finding.ts";
import type { PatchResult } from "./patch.ts";
import { parseSource, type SourceFile } from "./source-file.ts";

/** Thrown inside a codemod: a condition does not hold, or cannot be checked. Never leaves the folder. */
export class NotSure extends Error {
  readonly condition: string;
  readonly line: number | null;

  constructor(condition: string, reason: string, line: number | null = null) {
    super(reason);
    this.condition = condition;
    this.line = line;
  }
}

export interface Edit {
  file: SourceFile;
  edited: MagicString;
  /** Line of the cause. */
  line: number;
  reasoning: string[];
  risk: string;
}

/** Runs a codemod: a thrown `NotSure` is a declined patch, anything else is a fault of ours and goes on. */
export async function patchOrDecline(finding: Finding, codemod: () => Promise<Edit>): Promise<PatchResult> {
  const { detector, fingerprint } = finding;
  try {
    const { file, edited, line, reasoning, risk } = await codemod();
    const after = edited.toString();
    if (after === file.text) throw new NotSure("nothing-to-change", "the source already has this change", line);
    if (parseSource(file.path, after) === null) {
      throw new NotSure("does-not-parse", "the changed file would not parse", line);
    }
    const files = [{ path: file.path, before: file.text, after }];
    const diff = createTwoFilesPatch(`a/${file.path}`, `b/${file.path}`, file.text, after, "", "");
    return { ok: true, patch: { detector, fingerprint, file: file.path, line, files, diff, reasoning, risk } };
  } catch (error) {
    if (!(error instanceof NotSure)) throw error;
    const { condition, message } = error;
    const line = error.line ?? finding.line;
    return { ok: false, declined: { detector, fingerprint, file: finding.file, line, condition, reason: message } };
  }
}
