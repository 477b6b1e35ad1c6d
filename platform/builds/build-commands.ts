// Build commands: runs install, build and configuration programs with a clean environment, live log, time limit and cancel.
import type { Readable } from "node:stream";
import { TsdevError } from "../../sdk/errors.ts";
import type { OwnedProcesses } from "../runtime/owned-processes.ts";
import { linesOf } from "./lines.ts";

const defaultLimitMs = 10 * 60_000;
const keptLines = 20;

export interface CommandOptions {
  folder: string;
  log: (stream: "stdout" | "stderr", text: string) => Promise<void>;
  signal: AbortSignal;
  /** How the message names it, for example `the build script`. */
  what: string;
}

export class BuildCommands {
  readonly #processes: OwnedProcesses;
  readonly #environment: () => Promise<Record<string, string>>;
  readonly #nodePath: string;
  readonly #limitMs: number;
  /** Names the versions that an install depends on beside the lockfile: Node, platform, SDK. */
  readonly toolchain: string;

  constructor(parts: {
    processes: OwnedProcesses;
    environment: () => Promise<Record<string, string>>;
    nodePath: string;
    toolchain: string;
    /** How long one command may take; default 10 minutes. */
    limitMs?: number;
  }) {
    this.#processes = parts.processes;
    this.#environment = parts.environment;
    this.#nodePath = parts.nodePath;
    this.toolchain = parts.toolchain;
    this.#limitMs = parts.limitMs ?? defaultLimitMs;
  }

  /** Runs a program with arguments; throws `build_failed` with the last lines, or `canceled`. */
  async run(command: string[], options: CommandOptions): Promise<void> {
    const [program = "", ...args] = command;
    await this.#run(program, args, options);
  }

  /** Runs one line of shell. */
  async shell(line: string, options: CommandOptions): Promise<void> {
    await this.#run("/bin/sh", ["-c", line], options);
  }

  /** Runs Node itself. */
  async node(args: string[], options: CommandOptions): Promise<void> {
    await this.#run(this.#nodePath, args, options);
  }

  async #run(program: string, args: string[], { folder, log, signal, what }: CommandOptions): Promise<void> {
    const canceled = () =>
      new TsdevError("canceled", { message: `${what} was canceled`, fix: "push again to build once more" });
    if (signal.aborted) throw canceled();
    const command = program === "/bin/sh" ? (args[1] ?? "") : [program, ...args].join(" ");
    const owned = this.#processes.own("build").spawn(program, args, {
      cwd: folder,
      env: await this.#environment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const last: string[] = [];
    const pump = async (stream: "stdout" | "stderr", source: Readable | null) => {
      if (!source) return;
      for await (const text of linesOf(source)) {
        last.push(text);
        if (last.length > keptLines) last.shift();
        await log(stream, text);
      }
    };
    let late = false;
    const stop = () => void owned.end();
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, this.#limitMs);
    signal.addEventListener("abort", stop, { once: true });
    try {
      const [{ code, signal: ended }] = await Promise.all([
        owned.ended,
        pump("stdout", owned.child.stdout),
        pump("stderr", owned.child.stderr),
      ]).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== "ENOENT") throw cause;
        throw new TsdevError("build_failed", {
          message: `${what} cannot be started: there is no program ${program}`,
          fix: "install it on this machine, or correct the command",
          cause,
        });
      });
      if (signal.aborted) throw canceled();
      if (code !== 0) {
        const how = late
          ? `took longer than ${Math.round(this.#limitMs / 1000)} s`
          : code === null
            ? `was ended by ${ended}`
            : `exited with ${code}`;
        throw new TsdevError("build_failed", {
          message: `${what} ${how}:\n${last.join("\n")}`,
          fix: `make \`${command}\` pass in a clean checkout, then push again`,
        });
      }
    } catch (error) {
      // also where the log cannot be written: nothing may go on that nobody waits for
      await owned.end();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }
}
