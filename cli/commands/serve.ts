// serve and stop: the platform on this machine, as a process of its own.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { noteDataDirectory } from "../client.ts";
import { print } from "../output.ts";

const platformFolder = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** Queries of the embedded ClickHouse wait in libuv's threads; with the default of 4 they would hold up files. */
const threadPoolSize = "16";
const defaultData = ".tsdev";
const stopLimitMs = 30_000;
const pollMs = 50;

export async function serve(flags: { data?: string; port?: number; json: boolean }): Promise<void> {
  const data = flags.data ?? defaultData;
  await noteDataDirectory(data).catch(() => undefined);
  const args = [join(platformFolder, "serve.ts"), "--data", data];
  if (flags.port !== undefined) args.push("--port", String(flags.port));
  if (flags.json) args.push("--json");
  const env = { ...process.env, UV_THREADPOOL_SIZE: threadPoolSize };
  const child = spawn(process.execPath, args, { stdio: "inherit", env });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  // Ctrl-C reaches the child by itself; here it only must not end the parent first
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", forward);
  process.on("SIGUSR2", forward);
  process.exitCode = await new Promise<number>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0))),
  );
}

const Running = z.object({ pid: z.int(), url: z.string() });
const healthLimitMs = 5_000;

/** What `control-plane.json` says of a control plane that runs, or null: after a kill its number may be another process's. */
async function runningOn(data: string): Promise<z.infer<typeof Running> | null> {
  const text = await readFile(join(data, "control-plane.json"), "utf8").catch(() => null);
  let noted: z.infer<typeof Running> | undefined;
  try {
    noted = text === null ? undefined : Running.safeParse(JSON.parse(text)).data;
  } catch {
    return null;
  }
  if (!noted || !alive(noted.pid)) return null;
  const answer = await fetch(`${noted.url}/healthz`, { signal: AbortSignal.timeout(healthLimitMs) }).catch(() => null);
  return answer?.ok ? noted : null;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export async function stop(flags: { data?: string; all: boolean; json: boolean }): Promise<void> {
  const data = flags.data ?? defaultData;
  const running = await runningOn(data);
  if (!running) {
    if (flags.all) {
      await stopWhatIsLeft(data);
      print({ stopped: true }, flags, () => "stopped");
      return;
    }
    throw new TsdevError("not_found", {
      message: `no control plane runs on ${data}`,
      fix: "give its data directory with --data; --all also ends apps left running",
    });
  }
  process.kill(running.pid, flags.all ? "SIGUSR2" : "SIGTERM");
  const deadline = Date.now() + stopLimitMs;
  while (alive(running.pid)) {
    if (Date.now() > deadline) {
      throw new TsdevError("timeout", {
        message: `process ${running.pid} has not stopped within 30 s`,
        fix: "look at its output; `kill -9` is safe, the next start carries on",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  print({ stopped: true }, flags, () => (flags.all ? "stopped, apps too" : "stopped; apps keep serving"));
}

/** With no control plane running: starts one only to end everything in order. */
async function stopWhatIsLeft(data: string): Promise<void> {
  const child = spawn(process.execPath, [join(platformFolder, "serve.ts"), "--data", data, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve).once("end", resolve));
  child.kill("SIGUSR2");
  await new Promise((resolve) => child.once("exit", resolve));
}
