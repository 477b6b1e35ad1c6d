// Runs the git program with an environment of our own, so that nobody's configuration, hooks or prompts take part.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ExecaError, execa } from "execa";
import { TsdevError } from "../../sdk/errors.ts";

/** `merge-tree --write-tree` came with it. */
export const leastGitVersion = "2.38";

export interface GitRun {
  /** Text for standard input. */
  input?: string | Uint8Array;
  env?: Record<string, string>;
  /** Settings for this run, handed over in the environment. */
  config?: Record<string, string>;
  /** Exit codes that are answers, not failures; 0 always is. */
  accept?: number[];
  signal?: AbortSignal;
  cwd?: string;
}

export interface GitAnswer {
  exitCode: number;
  stdout: string;
}

export interface GitCommand {
  /** Runs `git ARGS` and returns its output; any other exit code throws. */
  run(args: string[], options?: GitRun): Promise<GitAnswer>;
  /** The environment that every git process gets, for those that are streamed; `config` goes before the repository's own. */
  environment(extra?: Record<string, string>, config?: Record<string, string>): Record<string, string>;
  /** A folder for index files, on the repositories' own disk. */
  readonly scratch: string;
}

/** `directory` is ours alone: it gets a `home` and a `tmp`. */
export function gitCommand(directory: string): GitCommand {
  const home = join(directory, "home");
  const scratch = join(directory, "tmp");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  mkdirSync(scratch, { recursive: true, mode: 0o700 });

  const environment = (
    extra: Record<string, string> = {},
    config: Record<string, string> = {},
  ): Record<string, string> => {
    const settings: [string, string][] = [
      // The data directory may belong to another user than the one that runs us (root in a container).
      ["safe.directory", "*"],
      // A background gc that outlives us would hold files of the data directory.
      ["gc.auto", "0"],
      ["receive.autogc", "false"],
      ["core.hooksPath", "/dev/null"],
      ["core.filesRefLockTimeout", "1000"],
      ...Object.entries(config),
    ];
    const base: Record<string, string> = {
      PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: home,
      XDG_CONFIG_HOME: home,
      TMPDIR: process.env.TMPDIR ?? "/tmp",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_TERMINAL_PROMPT: "0",
      GIT_ATTR_NOSYSTEM: "1",
      GIT_NO_REPLACE_OBJECTS: "1",
      GIT_CONFIG_COUNT: String(settings.length),
    };
    settings.forEach(([key, value], index) => {
      base[`GIT_CONFIG_KEY_${index}`] = key;
      base[`GIT_CONFIG_VALUE_${index}`] = value;
    });
    return { ...base, ...extra };
  };

  return {
    scratch,
    environment,
    async run(args, options = {}) {
      const result = await execa("git", args, {
        env: environment(options.env, options.config),
        extendEnv: false,
        input: options.input ?? "",
        cwd: options.cwd ?? directory,
        cancelSignal: options.signal,
        stripFinalNewline: false,
        maxBuffer: 200_000_000,
        reject: false,
      });
      if (result.exitCode !== undefined && (result.exitCode === 0 || options.accept?.includes(result.exitCode))) {
        return { exitCode: result.exitCode, stdout: result.stdout };
      }
      if (options.signal?.aborted) {
        throw new TsdevError("canceled", { message: "canceled while git was running", fix: "ask again" });
      }
      throw failure(args[0] ?? "git", result as unknown as ExecaError & { stderr: string });
    },
  };
}

function failure(verb: string, result: ExecaError & { stderr: string }): TsdevError {
  if (result.code === "ENOENT") {
    return new TsdevError("unavailable", {
      message: "the git program is not on PATH",
      fix: `install git ${leastGitVersion} or newer and start again`,
    });
  }
  const text = (result.stderr || result.shortMessage || "").trim();
  if (/No space left|Read-only file system|Permission denied|unable to write/i.test(text)) {
    return new TsdevError("data_directory_unwritable", {
      message: `git ${verb}: ${text.slice(0, 400)}`,
      fix: "free some space or give the data directory back to the user that runs tsdev",
    });
  }
  return new TsdevError("git_rejected", {
    message: `git ${verb} failed: ${text.slice(0, 800)}`,
    fix: "read git's own words above; ask again if another change was being written at the same time",
    cause: result,
  });
}

/** Throws where git is missing or older than what we need. */
export async function checkGitVersion(git: GitCommand): Promise<string> {
  const { stdout } = await git.run(["version"]);
  const match = /(\d+)\.(\d+)/.exec(stdout);
  const [least, leastMinor] = leastGitVersion.split(".").map(Number) as [number, number];
  const major = Number(match?.[1] ?? 0);
  const minor = Number(match?.[2] ?? 0);
  if (major < least || (major === least && minor < leastMinor)) {
    throw new TsdevError("unavailable", {
      message: `git ${major}.${minor} is too old`,
      fix: `install git ${leastGitVersion} or newer and start again`,
    });
  }
  return `${major}.${minor}`;
}
