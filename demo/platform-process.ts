// Platform process: starts the platform for the demo, notices when it dies, and stops everything it started.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { TsdevError } from "../sdk/errors.ts";

/** Queries of the embedded ClickHouse wait in libuv's threads; with the default of 4 they would hold up files. */
const threadPoolSize = "16";
const serve = join(dirname(fileURLToPath(import.meta.url)), "../serve.ts");

export interface PlatformAddress {
  url: string;
  dashboard: string;
  mcp: string;
  token: string;
}

export class PlatformProcess {
  readonly address: PlatformAddress;
  /** Aborts when the control plane ends without having been asked to. */
  readonly died: AbortSignal;
  readonly #child: ChildProcess;
  #stopping = false;

  private constructor(child: ChildProcess, address: PlatformAddress, data: string) {
    this.#child = child;
    this.address = address;
    const controller = new AbortController();
    this.died = controller.signal;
    child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      controller.abort(
        new TsdevError("unavailable", {
          message: `the control plane ended (${signal ?? `exit ${code}`}); the apps it deployed keep serving`,
          fix: `run the same command again with --data ${data}; it goes on from here`,
        }),
      );
    });
  }

  /** Starts the platform on a data directory; throws what it says when it refuses. */
  static async start(data: string, port: number | undefined): Promise<PlatformProcess> {
    const args = [serve, "--data", data, "--json", ...(port === undefined ? [] : ["--port", String(port)])];
    await mkdir(data, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
      throw new TsdevError("data_directory_unwritable", {
        message: `cannot make the data directory ${data}: ${cause instanceof Error ? cause.message : cause}`,
        fix: "give another --data, in a folder that this user may write",
        cause,
      });
    });
    // a file, not a pipe: the control plane may outlive this process, and its complaints are worth keeping
    const logPath = join(data, "control-plane.log");
    const log = openLog(logPath);
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", log],
      detached: true,
      env: { ...process.env, UV_THREADPOOL_SIZE: threadPoolSize },
    });
    closeSync(log);
    const first = createInterface({ input: child.stdout as Readable })
      [Symbol.asyncIterator]()
      .next();
    const ended = once(child, "exit").then(() => null);
    const line = await Promise.race([first, ended]);
    if (!line || line.done) {
      await ended;
      throw refusal((await readFile(logPath, "utf8")).trim().split("\n"));
    }
    return new PlatformProcess(child, JSON.parse(line.value) as PlatformAddress, data);
  }

  /** Ends the control plane, the apps, the router and the database server. */
  async stopAll(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGUSR2");
    await ended;
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (cause) {
    throw new TsdevError("data_directory_unwritable", {
      message: `cannot write to ${path}: ${cause instanceof Error ? cause.message : cause}`,
      fix: "make the folder writable for this user, free some space, or give another --data",
      cause,
    });
  }
}

function refusal(complaints: string[]): TsdevError {
  for (const line of complaints.toReversed()) {
    try {
      const { error } = JSON.parse(line) as { error: { code: "internal"; message: string; fix: string } };
      return new TsdevError(error.code, error);
    } catch {
      // not the line with the error
    }
  }
  return new TsdevError("internal", {
    message: `the platform did not start: ${complaints.at(-1) ?? "it said nothing"}`,
    fix: "run `npx tsdev serve` to see its whole output",
  });
}
