// For tests: the real platform as a process on a data directory of its own, and what to ask, kill and look for around it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "../cli/client.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";
import type { Project } from "../platform/projects/project.ts";

const serve = join(dirname(fileURLToPath(import.meta.url)), "../serve.ts");
const settledStates = ["live", "superseded", "failed", "canceled"];

export interface Address {
  url: string;
  dashboard: string;
  mcp: string;
  otlp: string;
  otlpGrpc: string;
  git: string;
  token: string;
}

/** What a process that ended by itself has said. */
export interface Said {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The environment of a child: ours without what the test runner adds, and with no settings of this machine's user. */
export function childEnvironment(also: Record<string, string> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(VITEST|NODE_ENV|NODE_OPTIONS|TSDEV_|GIT_)/.test(name)) env[name] = value;
  }
  return { ...env, UV_THREADPOOL_SIZE: "16", GIT_CONFIG_GLOBAL: "/dev/null", GIT_TERMINAL_PROMPT: "0", ...also };
}

export async function temporaryFolder(name: string): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), `tsdev-${name}-`)));
}

/** Waits for a condition; `limitMs` is generous, because the machine may be busy. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 60_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await delay(50);
  }
}

export class PlatformProcess {
  readonly data: string;
  readonly address: Address;
  readonly client: Client;
  /** What it has complained about so far. */
  readonly complaints: string[];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(data: string, child: ChildProcess, address: Address, complaints: string[]) {
    this.data = data;
    this.#child = child;
    this.address = address;
    this.client = new Client(address);
    this.complaints = complaints;
    this.#ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : Promise.resolve();
  }

  /** Starts it and waits until it is ready; throws what it said when it refused. */
  static async start(
    data: string,
    options: { port?: number; env?: Record<string, string> } = {},
  ): Promise<PlatformProcess> {
    const child = spawnServe(["--data", data, "--port", String(options.port ?? 0), "--json"], options.env);
    const complaints: string[] = [];
    createInterface({ input: child.stderr! }).on("line", (line) => complaints.push(line));
    const ended = once(child, "close").then(() => null);
    const line = await Promise.race([once(createInterface({ input: child.stdout! }), "line"), ended]);
    if (line === null) throw new Error(`the platform did not start:\n${complaints.join("\n")}`);
    return new PlatformProcess(data, child, JSON.parse(line[0] as string) as Address, complaints);
  }

  /** Starts it and kills it after so long, wherever it is by then. */
  static async startAndKill(data: string, afterMs: number): Promise<void> {
    const child = spawnServe(["--data", data, "--port", "0", "--json"]);
    const ended = once(child, "close");
    child.stdout!.resume();
    child.stderr!.resume();
    const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
    await ended;
    clearTimeout(timer);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.running) this.#child.kill(signal);
    await this.#ended;
  }

  /** Ends the control plane, the apps, the router and the database server. */
  async stopAll(): Promise<void> {
    await this.kill("SIGUSR2");
  }

  async project(name: string): Promise<Project> {
    return (await this.client.call("projects.create", { name })).project;
  }

  /** Newest first. */
  async deployments(project: string): Promise<Deployment[]> {
    const where = { project, environment: "production", limit: 100 };
    const { deployments } = await this.client.call("deployments.list", where);
    return deployments;
  }

  /** The newest deployment that matches, once nothing will change about it by itself. */
  async settled(project: string, matches: (deployment: Deployment) => boolean, limitMs = 120_000): Promise<Deployment> {
    return eventually(
      `a settled deployment of ${project}`,
      async () => (await this.deployments(project)).find((one) => matches(one) && settledStates.includes(one.status)),
      limitMs,
    );
  }
}

function spawnServe(args: string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [serve, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: childEnvironment(env),
  });
}

/** Starts the platform where it will refuse, and says how it ended; one that starts all the same is ended again. */
export async function refusedStart(args: string[], env: Record<string, string> = {}): Promise<Said> {
  const child = spawnServe(args, env);
  child.stdout!.once("data", () => child.kill("SIGUSR2"));
  return said(child);
}

/** Runs a program to its end. */
export async function run(
  command: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Said> {
  const [program = "", ...args] = command;
  return said(
    spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: childEnvironment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    }),
  );
}

/** Runs the command line, with no platform of this machine's user in its sight. */
export function tsdev(args: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Promise<Said> {
  const env = { XDG_STATE_HOME: join(tmpdir(), "tsdev-no-state"), ...options.env };
  return run([process.execPath, join(dirname(serve), "cli/tsdev.js"), ...args], { cwd: tmpdir(), ...options, env });
}

/** One request through the router, to the host given. */
export function ask(routerUrl: string, host: string, path = "/"): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(routerUrl);
    request({ host: "127.0.0.1", port, path, headers: { host }, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on("error", reject)
      .end();
  });
}

async function said(child: ChildProcess): Promise<Said> {
  let stdout = "";
  let stderr = "";
  child.stdout!.on("data", (chunk) => (stdout += chunk));
  child.stderr!.on("data", (chunk) => (stderr += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** Ends what is left on a data directory, whoever started it, and removes it. */
export async function endAndRemove(data: string, platform: PlatformProcess | undefined): Promise<void> {
  if (platform?.running) await platform.stopAll();
  else if (processesOn(data).length > 0) await refusedStart(["--data", data, "--port", "0", "--json"]);
  await rm(data, { recursive: true, force: true });
}

/** Command lines of the processes that work in a folder or were told of it; empty where there is no /proc. */
export function processesOn(folder: string): { pid: number; command: string }[] {
  const found: { pid: number; command: string }[] = [];
  for (const name of readProc()) {
    const pid = Number(name);
    if (!(pid > 0) || pid === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const cwd = readlinkSync(`/proc/${name}/cwd`);
      if (command.includes(folder) || cwd.startsWith(folder)) found.push({ pid, command });
    } catch {
      // it ended meanwhile, or is not ours
    }
  }
  return found;
}

function readProc(): string[] {
  try {
    return readdirSync("/proc");
  } catch {
    return [];
  }
}
