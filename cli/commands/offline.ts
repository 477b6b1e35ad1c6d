// analyze and suggest: the detectors over trace files and the codemods over a checkout, without a platform.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { TsdevError } from "../../sdk/errors.ts";
import { bold, dim, print, table } from "../output.ts";

const offline = join(dirname(fileURLToPath(import.meta.url)), "../../offline.ts");
const mostOutputBytes = 256 * 1024 * 1024;

interface Analyzed {
  spans: number;
  traces: number;
  findings: { title: string; file: string | null; line: number | null; occurrences: number; wastedMs: number }[];
  rejections: { subject: string; reason: string }[];
}

interface Suggested {
  suggestions: { file: string; line: number; diff: string; risk: string }[];
  declined: { detector: string; file: string | null; line: number | null; reason: string }[];
}

/** What `offline.ts` answers. */
export async function runOffline<T>(args: string[]): Promise<T> {
  const env = { UV_THREADPOOL_SIZE: "16" };
  const done = await execa(process.execPath, [offline, ...args], { reject: false, env, maxBuffer: mostOutputBytes });
  if (done.exitCode === 0) return JSON.parse(done.stdout) as T;
  const line = done.stderr
    .trim()
    .split("\n")
    .findLast((text) => text.startsWith('{"error"'));
  const { error } = line
    ? (JSON.parse(line) as { error: { code: "internal"; message: string; fix: string } })
    : {
        error: {
          code: "internal" as const,
          message: done.stderr.trim() || "it ended without a word",
          fix: "report this",
        },
      };
  throw new TsdevError(error.code, error);
}

const place = (file: string | null, line: number | null) => (file ? `${file}:${line ?? "?"}` : "");

export async function analyze(files: string[], flags: { json: boolean }): Promise<void> {
  print(await runOffline<Analyzed>(["analyze", "--", ...files]), flags, ({ spans, traces, findings, rejections }) =>
    [
      dim(`${spans} spans in ${traces} traces`),
      findings.length > 0
        ? table(
            ["finding", "where", "seen", "wasted"],
            findings.map((one) => [
              one.title,
              place(one.file, one.line),
              String(one.occurrences),
              `${one.wastedMs.toFixed(0)} ms`,
            ]),
          )
        : "nothing found",
      ...(rejections.length > 0
        ? [
            bold("\nLooked like it, left alone"),
            table(
              ["what", "why"],
              rejections.map((one) => [one.subject, one.reason]),
            ),
          ]
        : []),
    ].join("\n"),
  );
}

export async function suggest(flags: {
  json: boolean;
  repo: string;
  traces?: string[];
  finding?: string;
}): Promise<void> {
  if (!flags.traces && !flags.finding) {
    throw new TsdevError("invalid_input", {
      message: "no traces and no finding were given",
      fix: "give --traces FILE… or --finding FILE",
    });
  }
  const source = flags.finding ? ["--finding", flags.finding] : ["--", ...(flags.traces ?? [])];
  print(
    await runOffline<Suggested>(["suggest", "--repo", flags.repo, ...source]),
    flags,
    ({ suggestions, declined }) =>
      [
        ...suggestions.map((one) => `${bold(place(one.file, one.line))}\n${one.diff}\n${dim(one.risk)}`),
        ...declined.map((one) => `${bold(place(one.file, one.line))} ${one.detector}: no patch, ${one.reason}`),
      ].join("\n\n") || "nothing to suggest",
  );
}
