// The hooks through which a running push tells us what it moves, and we tell the pusher what follows from it.
//
// They speak over two descriptors that git inherited from us: 3 to us, 4 from us. When we die the descriptors break, the hooks
// end with them, and a push that was not let in yet is refused: nothing is left waiting and nothing comes in unseen. No
// address and no token is needed, and a repository that is used by hand is not changed by them.
import { accessSync, constants, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { TsdevError } from "../../sdk/errors.ts";
import { branchName } from "./git-names.ts";

export interface MovedBranch {
  branch: string;
  before: string | null;
  after: string;
}

const scripts: Record<string, string> = {
  "pre-receive": `#!/bin/sh
# Asks the control plane whether these refs may move.
cat >&3 || exit 1
echo begin >&3 || exit 1
read -r verdict <&4 || exit 1
[ "$verdict" = ok ] && exit 0
printf '%s\\n' "$verdict" >&2
exit 1
`,
  "post-receive": `#!/bin/sh
# Tells the control plane which refs have moved and prints what it says to that.
cat >&3 || exit 0
echo end >&3 || exit 0
exec cat <&4
`,
};

/** Writes the hooks beside the repositories and returns their folder. */
export function pushHooks(directory: string): string {
  const folder = join(directory, "hooks");
  mkdirSync(folder, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    const fresh = join(folder, `.${name}-${process.pid}`);
    writeFileSync(fresh, script, { mode: 0o755 });
    renameSync(fresh, join(folder, name));
    try {
      accessSync(join(folder, name), constants.X_OK);
    } catch (cause) {
      throw new TsdevError("data_directory_unwritable", {
        message: `${folder} lies on a file system that does not let programs run (noexec)`,
        fix: "choose a data directory elsewhere",
        cause,
      });
    }
  }
  return folder;
}

/**
 * Our end of the two descriptors. `moved` is told of the branches that moved and answers lines for the pusher. Where the
 * pusher hung up before it could hear them, the second hook does not run; then `at` tells which of the announced moves
 * were made all the same.
 */
export async function answerHooks(
  report: Duplex,
  answer: Duplex,
  moved: (branches: MovedBranch[]) => Promise<string[]>,
  at: (branch: string) => Promise<string | null>,
): Promise<void> {
  for (const stream of [report, answer]) stream.on("error", () => {});
  let announced: MovedBranch[] = [];
  let lines: string[] = [];
  try {
    for await (const line of createInterface({ input: report })) {
      if (line === "begin") {
        const verdict = lines.map(refusal).find((text) => text !== null);
        announced = verdict ? [] : lines.flatMap(movedBranch);
        answer.write(`${verdict ?? "ok"}\n`);
        lines = [];
      } else if (line === "end") {
        announced = [];
        answer.write((await moved(lines.flatMap(movedBranch))).map((text) => `${text}\n`).join(""));
        return;
      } else {
        lines.push(line);
      }
    }
    const made: MovedBranch[] = [];
    for (const move of announced) if ((await at(move.branch)) === move.after) made.push(move);
    if (made.length > 0) await moved(made);
  } finally {
    // The end of the answer is what the hook waits for, whatever happened here.
    answer.end();
    report.destroy();
  }
}

const refLine = /^([0-9a-f]{40}) ([0-9a-f]{40}) (.+)$/;

/** Why a ref may not be pushed; git lets a branch be called `-x`, we do not. */
function refusal(line: string): string | null {
  const [, , after = "", ref = ""] = refLine.exec(line) ?? [];
  // A branch that is there may be deleted, however it is called.
  if (!ref.startsWith("refs/heads/") || /^0+$/.test(after)) return null;
  try {
    branchName(ref.slice("refs/heads/".length));
    return null;
  } catch (error) {
    return `tsdev: ${(error as TsdevError).message}; ${(error as TsdevError).fix}`;
  }
}

/** One line of a hook's input, when it is a branch that still exists. */
function movedBranch(line: string): MovedBranch[] {
  const [, before = "", after = "", ref = ""] = refLine.exec(line) ?? [];
  if (!ref.startsWith("refs/heads/") || /^0+$/.test(after)) return [];
  return [{ branch: ref.slice("refs/heads/".length), before: /^0+$/.test(before) ? null : before, after }];
}
