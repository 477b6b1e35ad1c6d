// Schemathesis: property-based requests made from the OpenAPI document, in a virtual environment of their own.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** From PyPI. */
const version = "4.32.5";
const run = promisify(execFile);

interface Failure {
  operation: string;
  check: string;
  message: string;
}

export interface HttpReport {
  tool: string;
  seed: number;
  operations: number;
  requests: number;
  failures: Failure[];
  /** Failures that say nothing of us, each with why. */
  exempt: (Failure & { reason: string })[];
  errors: { operation: string; message: string }[];
}

/** Throws with what is missing where there is no Python. */
export async function driveBySchemathesis(
  url: string,
  options: { seed: number; examples: number; seconds: number; exclude: readonly string[] },
): Promise<HttpReport> {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-schemathesis-"));
  try {
    await run("python3", ["-m", "venv", join(folder, "venv")]).catch((cause) => {
      throw new Error("Schemathesis needs Python 3.10 or later with venv: install python3 and python3-venv", { cause });
    });
    const bin = (name: string) => join(folder, "venv", "bin", name);
    await run(bin("pip"), ["install", "--quiet", "--disable-pip-version-check", `schemathesis==${version}`]);
    const flags = [
      ["run", `${url}/openapi.json`, "--url", url, "--checks", "all", "--phases", "examples,coverage,fuzzing"],
      ["--header", "Authorization: Bearer admin", "--seed", String(options.seed)],
      ["--max-examples", String(options.examples), "--max-time", String(options.seconds), "--request-timeout", "10"],
      ["--continue-on-failure", "--suppress-health-check", "all", "--generation-database", "none", "--no-color"],
      ...options.exclude.map((operation) => ["--exclude-operation-id", operation]),
    ];
    // Its exit code says that there are failures; what it prints says which.
    const { stdout } = await run(bin("schemathesis"), flags.flat(), { cwd: folder, maxBuffer: 2 ** 28 }).catch(
      (error: { stdout?: string }) => ({ stdout: error.stdout ?? "" }),
    );
    if (!stdout.includes("SUMMARY")) throw new Error(`Schemathesis came to no end:\n${stdout.slice(-4_000)}`);
    return reportOf(stdout, options.seed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function reportOf(stdout: string, seed: number): HttpReport {
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0);
  const section = (name: string) =>
    new RegExp(`^=+ ${name} =+\\n([\\s\\S]*?)(?=^=+ [A-Z])`, "m").exec(stdout)?.[1] ?? "";
  const parts = (text: string) =>
    [...text.matchAll(/^_+ (.+?) _+\n([\s\S]*?)(?=^_+ .+? _+\n|(?![\s\S]))/gm)].map(
      ([, operation = "", body = ""]) => ({
        operation,
        body,
      }),
    );
  return {
    tool: `schemathesis ${version}`,
    seed,
    operations: number(/Tested: (\d+)/),
    requests: number(/(\d+) generated/),
    failures: parts(section("FAILURES")).flatMap(({ operation, body }) => failuresOf(operation, body)),
    exempt: [],
    errors: parts(section("ERRORS")).map(({ operation, body }) => ({ operation, message: body.trim().slice(0, 500) })),
  };
}

/** Each check that failed; of a value that was taken though it breaks the contract also which part of it does. */
function failuresOf(operation: string, body: string): Failure[] {
  return body
    .split(/^(?=- ST\d+ )/m)
    .slice(1)
    .map((text) => {
      const [, check = "", said = ""] = /^- (ST\d+) (.+)$/m.exec(text) ?? [];
      const part = /^ +Invalid component: (.+)$/m.exec(text)?.[1];
      return { operation, check, message: part === undefined ? said : `${said}: ${part}` };
    });
}
