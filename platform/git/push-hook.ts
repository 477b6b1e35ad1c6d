// The post-receive hook through which a running push tells us what moved and we tell the pusher what follows from it.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";

export interface MovedBranch {
  branch: string;
  before: string | null;
  after: string;
}

// It speaks over two descriptors that git inherited from us. When we die they break, and the hook ends with them: nothing is
// left waiting. No address and no token is needed, and a repository that is used by hand is not changed by it.
const script = `#!/bin/sh
# Reports the moved refs to the control plane on descriptor 3 and prints what it answers on 4.
cat >&3 || exit 0
echo . >&3 || exit 0
exec cat <&4
`;

/** Writes the hook beside the repositories and returns its folder. */
export function pushHooks(directory: string): string {
  const folder = join(directory, "hooks");
  mkdirSync(folder, { recursive: true });
  const fresh = join(folder, `.post-receive-${process.pid}`);
  writeFileSync(fresh, script, { mode: 0o755 });
  renameSync(fresh, join(folder, "post-receive"));
  return folder;
}

/** Our end of the two descriptors: resolves true when the hook reported and was answered, false when it never ran. */
export async function answerHook(
  report: Duplex,
  answer: Duplex,
  moved: (branches: MovedBranch[]) => Promise<string[]>,
): Promise<boolean> {
  for (const stream of [report, answer]) stream.on("error", () => {});
  try {
    const refs: string[] = [];
    for await (const line of createInterface({ input: report })) {
      if (line !== ".") {
        refs.push(line);
        continue;
      }
      const lines = await moved(refs.flatMap(movedBranch));
      answer.write(lines.map((text) => `${text}\n`).join(""));
      return true;
    }
    return false;
  } finally {
    // The end of the answer is what the hook waits for, whatever happened here.
    answer.end();
    report.destroy();
  }
}

/** One line of post-receive's input, when it is a branch that still exists. */
function movedBranch(line: string): MovedBranch[] {
  const match = /^([0-9a-f]{40}) ([0-9a-f]{40}) refs\/heads\/(.+)$/.exec(line);
  if (!match) return [];
  const [, before = "", after = "", branch = ""] = match;
  if (/^0+$/.test(after)) return [];
  return [{ branch, before: /^0+$/.test(before) ? null : before, after }];
}
