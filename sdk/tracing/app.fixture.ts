// Fixture: an app process under register, in a folder of its own as a deployed app has.
import { type ChildProcess, spawn } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const repository = dirname(dirname(here));
/** What the platform injects. */
export const registerUrl = pathToFileURL(join(repository, "sdk/register.ts")).href;

export interface AppFolder {
  readonly path: string;
  /** Copies a file of `__fixtures__` and answers its path in the folder. */
  add(fixture: string, as?: string): string;
  write(name: string, text: string): string;
  /** The number of the line with this mark, from 1. */
  line(name: string, mark: string): number;
  remove(): void;
}

/** A folder outside the repository with the repository's packages. */
export function appFolder(): AppFolder {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "tsdev-app-")));
  symlinkSync(join(repository, "node_modules"), join(path, "node_modules"));
  const place = (name: string) => {
    const target = join(path, name);
    mkdirSync(dirname(target), { recursive: true });
    return target;
  };
  return {
    path,
    add(fixture, as = fixture) {
      copyFileSync(join(here, "__fixtures__", fixture), place(as));
      return join(path, as);
    },
    write(name, text) {
      writeFileSync(place(name), text);
      return join(path, name);
    },
    line(name, mark) {
      const lines = readFileSync(join(path, name), "utf8").split("\n");
      const at = lines.findIndex((line) => line.includes(`@${mark}`));
      if (at < 0) throw new Error(`no line of ${name} is marked ${mark}`);
      return at + 1;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface RunningApp {
  readonly process: ChildProcess;
  /** Of the server, when it printed `listening on <port>`. */
  readonly url: string;
  output(): string;
  get(path: string, init?: RequestInit): Promise<Response>;
  /** Resolves with the exit code, or the signal's name. */
  ended: Promise<number | string>;
  stop(): Promise<void>;
}

export interface RunOptions {
  file: string;
  cwd: string;
  env?: Record<string, string>;
  args?: string[];
}

/** Starts a script under register, as the platform does, through NODE_OPTIONS. */
export function runApp({ file, cwd, env = {}, args = [] }: RunOptions): Omit<RunningApp, "url" | "get" | "stop"> {
  const child = spawn(process.execPath, [file, ...args], {
    cwd,
    env: { PATH: process.env.PATH, NODE_OPTIONS: `--import ${registerUrl}`, OTEL_SERVICE_NAME: "app", ...env },
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  const ended = new Promise<number | string>((done) =>
    child.once("close", (code, signal) => done(code ?? signal ?? "")),
  );
  return { process: child, output: () => output, ended };
}

/** Starts a server under register and waits for its port. */
export async function startApp(options: RunOptions): Promise<RunningApp> {
  const app = runApp({ ...options, env: { PORT: "0", ...options.env } });
  const url = await new Promise<string>((done, failed) => {
    const look = () => {
      const port = /listening on (\d+)/.exec(app.output())?.[1];
      if (port) done(`http://127.0.0.1:${port}`);
    };
    app.process.stdout?.on("data", look);
    void app.ended.then((code) => failed(new Error(`the app ended with ${code}: ${app.output()}`)));
  });
  return {
    ...app,
    url,
    get: (path, init) => fetch(url + path, init),
    stop: async () => {
      app.process.kill("SIGKILL");
      await app.ended;
    },
  };
}
