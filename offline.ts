// Analyzes trace files and makes patches against a checkout, with no platform running; `tsdev analyze`, `suggest` and `check` start this.
import { readFile } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { checkWorkflows } from "./agents/patches/check-workflows.ts";
import { patchFor } from "./agents/patches/index.ts";
import type { Declined, Patch } from "./agents/patches/patch.ts";
import { Finding } from "./analyzers/finding.ts";
import { analyzeFiles } from "./analyzers/trace-files.ts";
import { TsdevError } from "./sdk/errors.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { repo: { type: "string" }, finding: { type: "string" } },
});
const [command, ...files] = positionals.filter((one) => one !== "--");

/** Times a request or run repeats what was found; 1 where that is no matter of repeats. */
function repeats(finding: Finding): number {
  return finding.evidence.kind === "n-plus-one" ? finding.evidence.repeats.median : 1;
}

async function readFinding(path: string): Promise<Finding> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new TsdevError("not_found", {
      message: `cannot read ${path}`,
      fix: "give a file with one element of analyze's findings",
      cause,
    });
  });
  try {
    return Finding.parse(JSON.parse(text));
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: `${path} is not a finding`,
      fix: "write one element of `tsdev analyze --json`'s findings into it, whole",
      cause,
    });
  }
}

async function suggest(
  findings: Finding[],
  repository: string,
): Promise<{ suggestions: object[]; declined: object[] }> {
  const root = resolve(repository);
  // nothing outside the checkout is read, whatever a trace names
  const read = async (path: string) => {
    const absolute = resolve(join(root, path));
    return absolute.startsWith(root + sep) ? readFile(absolute, "utf8").catch(() => null) : null;
  };
  const results = await Promise.all(findings.map((finding) => patchFor(finding, read)));
  const patches: Patch[] = results.flatMap((result) => (result.ok ? [result.patch] : []));
  const declined: Declined[] = results.flatMap((result) => (result.ok ? [] : [result.declined]));
  return {
    suggestions: patches.map(({ fingerprint, detector, file, line, diff, risk }) => ({
      fingerprint,
      detector,
      file,
      line,
      diff,
      risk,
    })),
    declined: declined.map(({ fingerprint, detector, file, line, reason }) => ({
      fingerprint,
      detector,
      file,
      line,
      reason,
    })),
  };
}

try {
  if (command === "check") {
    process.stdout.write(`${JSON.stringify(await checkWorkflows(files[0] ?? "."))}\n`);
  } else if (command === "analyze") {
    const { findings, ...rest } = await analyzeFiles(files);
    const withRepeats = findings.map((finding) => ({ ...finding, repeats: repeats(finding) }));
    process.stdout.write(`${JSON.stringify({ ...rest, findings: withRepeats })}\n`);
  } else {
    const findings = values.finding ? [await readFinding(values.finding)] : (await analyzeFiles(files)).findings;
    process.stdout.write(`${JSON.stringify(await suggest(findings, values.repo ?? "."))}\n`);
  }
} catch (thrown) {
  process.stderr.write(`${JSON.stringify({ error: TsdevError.from(thrown) })}\n`);
  process.exit(1);
}
