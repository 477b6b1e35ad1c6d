// App process: the app under `tsdev dev`, started anew when it ends or when only a new process can take what changed.
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FromApp, ToApp } from "../../sdk/dev/messages.ts";
import type { DevApp } from "./app.ts";
import { NextEdit } from "./next-edit.ts";
import type { Port } from "./port.ts";

const sdk = join(dirname(fileURLToPath(import.meta.url)), "../../sdk");
/** One that ends sooner than this is started again only for an edit that was made since it began. */
const shortLifeMs = 2_000;
const stopLimitMs = 10_000;
/** How long requests in flight may take before a restart. */
const finishLimitMs = 5_000;

export interface Listener {
  message(message: FromApp): void;
  /** It ended by itself; `waits` for an edit, or is started again at once. */
  ended(how: string, waits: boolean): void;
}

/** Who owns what: `Port` owns the address, this the process; the process ends when its channel to this one closes. */
export class AppProcess {
  readonly #read: () => Promise<{ app: DevApp; variables: Record<string, string> }>;
  readonly #port: Port;
  readonly #listener: Listener;
  #child: ChildProcess | undefined;
  #stopping = false;
  readonly #edit: NextEdit;

  /** `read` throws where the folder cannot be started as it is now. */
  constructor(
    folder: string,
    read: () => Promise<{ app: DevApp; variables: Record<string, string> }>,
    port: Port,
    listener: Listener,
  ) {
    this.#edit = new NextEdit(folder);
    this.#read = read;
    this.#port = port;
    this.#listener = listener;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const started = Date.now();
    const { app, variables } = await this.#read();
    if (this.#stopping) return;
    // Without an address the hook would send to whatever listens where collectors do.
    const traced = { ...variables, ...app.variables, ...process.env }.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined;
    const child = spawn(
      process.execPath,
      [
        "--disable-warning=ExperimentalWarning",
        ...app.nodeFlags,
        ...(traced ? ["--import", join(sdk, "register.ts")] : []),
        join(sdk, "dev/run.ts"),
        app.entry,
        ...app.arguments,
      ],
      {
        cwd: app.folder,
        env: {
          NODE_ENV: "development",
          TSDEV_ENVIRONMENT: "development",
          TSDEV_ROOT: app.folder,
          ...variables,
          ...app.variables,
          ...process.env,
          PORT: String(this.#port.number),
        },
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      },
    );
    this.#child = child;
    child.on("message", (message: FromApp) => this.#said(message, child));
    child.once("exit", (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#port.handTo(undefined);
      if (this.#stopping) return;
      const how = signal ?? `exit code ${code}`;
      if (Date.now() - started < shortLifeMs) return this.#startAfterEdit(started, how);
      this.#listener.ended(how, false);
      void this.#startAgain();
    });
  }

  /** Asks the process to end as a deployment would, and ends it when it takes too long. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#edit.close();
    await end(this.#child);
  }

  #said(message: FromApp, child: ChildProcess): void {
    if (this.#child !== child) return;
    if (message.kind === "ready") {
      const connection: ToApp = { kind: "connection" };
      this.#port.handTo((socket: Socket) => child.send(connection, socket, { keepOpen: false }));
    }
    this.#listener.message(message);
    if (message.kind === "restart") void this.#restart(child);
  }

  async #restart(child: ChildProcess): Promise<void> {
    this.#child = undefined;
    this.#port.handTo(undefined);
    await within(finishLimitMs, (done) => {
      child.once("exit", done);
      child.on("message", (message: FromApp) => message.kind === "finished" && done());
      child.send({ kind: "finish" } satisfies ToApp);
    });
    // The old one first: two of them would have two engines, and the runs of the old one would look abandoned.
    await end(child);
    await this.#startAgain();
  }

  /** What cannot be started as it is now is started after the edit that mends it. */
  async #startAgain(): Promise<void> {
    const began = Date.now();
    try {
      if (!this.#stopping) await this.start();
    } catch (error) {
      if (!this.#stopping) this.#startAfterEdit(began, String(error));
    }
  }

  #startAfterEdit(since: number, how: string): void {
    let waits = true;
    this.#edit.wait(since, () => {
      waits = false;
      // Once it has been told what ended.
      queueMicrotask(() => void this.#startAgain());
    });
    this.#listener.ended(how, waits);
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const limit = setTimeout(() => child.kill("SIGKILL"), stopLimitMs);
  await ended;
  clearTimeout(limit);
}

function within(ms: number, begin: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const limit = setTimeout(resolve, ms);
    begin(() => {
      clearTimeout(limit);
      resolve();
    });
  });
}
