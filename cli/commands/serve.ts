// serve and stop: the platform on this machine, as a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { errorOf } from "../../client/client.ts";
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
  const ended = new Promise<number>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0))),
  );
  void noteWhenReady(data, child, ended);
  process.exitCode = await ended;
}

/** Commands in other folders find the platform by the note; one that never became ready leaves the old note alone. */
async function noteWhenReady(data: string, child: ChildProcess, ended: Promise<number>): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    if ((await runningOn(data))?.pid === child.pid) {
      await noteDataDirectory(data).catch(() => undefined);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
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

/** With no control plane that answers: starts one only to end everything in order. Throws what it said when it refused. */
async function stopWhatIsLeft(data: string): Promise<void> {
  const known = await access(join(data, "runtime")).then(
    () => true,
    () => false,
  );
  if (!known) {
    throw new TsdevError("not_found", {
      message: `nothing of tsdev is in ${data}`,
      fix: "give its data directory with --data",
    });
  }
  const child = spawn(process.execPath, [join(platformFolder, "serve.ts"), "--data", data, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, UV_THREADPOOL_SIZE: threadPoolSize },
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  child.stdout.once("data", () => child.kill("SIGUSR2"));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code === 0) return;
  const line = said.split("\n").findLast((one) => one.startsWith('{"error"'));
  throw line
    ? errorOf(JSON.parse(line), 500)
    : new TsdevError("internal", {
        message: said.trim() || "it ended without a word",
        fix: `run \`npx tsdev serve --data ${data}\``,
      });
}
