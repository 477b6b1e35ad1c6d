// Fixture: an app in a folder of its own under a real `tsdev dev`.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FromApp } from "../../sdk/dev/messages.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const limitMs = 20_000;

export type Said =
  | FromApp
  | { kind: "ended"; how: string; waits: boolean }
  | { kind: "started"; url: string; pid: number };

export class DevelopedApp {
  readonly folder: string;
  readonly child: ChildProcess;
  readonly said: Said[] = [];
  #waiting: (() => void)[] = [];
  url = "";
  pid = 0;
  output = "";

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.child = child;
    const heard = () => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const check of waiting) check();
    };
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.output += chunk;
    });
    child.once("exit", heard);
    createInterface({ input: child.stdout! }).on("line", (line) => {
      try {
        const value = JSON.parse(line);
        if ("kind" in value) this.said.push(value);
        else if ("url" in value) {
          this.url = value.url;
          this.pid = value.pid;
          this.said.push({ kind: "started", url: value.url, pid: value.pid });
        }
      } catch {
        this.output += `${line}\n`;
      }
      heard();
    });
  }

  /** In the repository, so that an app may import the SDK's source and dependencies are found. */
  static async start(files: Record<string, string>): Promise<DevelopedApp> {
    await mkdir(join(root, "tmp"), { recursive: true });
    const folder = await mkdtemp(join(root, "tmp/dev-"));
    for (const [name, text] of Object.entries({ "package.json": '{"type":"module"}', ...files })) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const { PORT: _port, NODE_ENV: _mode, DATABASE_URL: _url, ...env } = process.env;
    const child = spawn(process.execPath, [join(root, "cli/tsdev.js"), "dev", folder, "--port", "0", "--json"], {
      env: { ...env, XDG_STATE_HOME: join(folder, ".state"), TSDEV_URL: "" },
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const app = new DevelopedApp(folder, child);
    await app.until(() => app.url !== "" || app.said.some(({ kind }) => kind === "ended"));
    return app;
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.folder, name), text);
  }

  /**
   * Puts the whole file in the place of the old one, as editors do, and waits until this edit was loaded, or was refused.
   * Written in its place it may stay empty for longer than an empty file is waited for, and what is told is of that one.
   */
  async edit(name: string, text: string): Promise<Said> {
    const before = this.said.length;
    const whole = `${this.folder}.edit`;
    await writeFile(whole, text);
    await rename(whole, join(this.folder, name));
    return this.next(before, ({ kind }) => kind === "live" || kind === "broken");
  }

  async next(after: number, fits: (said: Said) => boolean): Promise<Said> {
    await this.until(() => this.said.slice(after).some(fits));
    return this.said.slice(after).find(fits)!;
  }

  async until(met: () => boolean): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!met()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not in time; said ${JSON.stringify(this.said)}; printed ${this.output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async get(path = "/"): Promise<{ status: number; text: string; headers: Headers }> {
    const response = await fetch(`${this.url}${path}`);
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = new Promise((resolve) => this.child.once("exit", resolve));
      this.child.kill("SIGINT");
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}
