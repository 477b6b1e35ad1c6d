// The runtime port: makes instances of a release run behind a router, and switches traffic without a failed request.
import type { ErrorShape } from "../../sdk/errors.ts";

/** What to run: one deployment of one service. */
export interface InstanceGroup {
  deploymentId: string;
  project: string;
  environment: string;
  service: string;
  /** Absolute path of the immutable release folder. */
  folder: string;
  /** The start command as the package.json or the configuration has it, for example `node src/main.ts`. */
  start: string;
  /** Path that answers below 500 when the app is ready; undefined tries `/readyz`, then `/`. */
  health: string | undefined;
  /** How long an instance may take to become healthy, in milliseconds; undefined is the runtime's own limit. */
  healthTimeoutMs?: number | undefined;
  replicas: number;
  /** Environment variables beside PORT; the instance inherits nothing else of the control plane but PATH, HOME, TMPDIR, LANG, TZ. */
  env: Record<string, string>;
  /** Host names that the router sends to this group once it is switched to. */
  hosts: string[];
}

export interface InstanceStatus {
  id: string;
  deploymentId: string;
  pid: number;
  port: number;
  state: "starting" | "healthy" | "unhealthy" | "draining" | "exited";
  startedAt: string;
  exitCode: number | null;
  /** How often the runtime started it again after it had ended by itself. */
  restarts: number;
}

export interface StartFailure {
  /** `crashed`, `unhealthy`, `wrong_port`, `port_taken`: with the last log lines in the message's end. */
  error: ErrorShape;
  lastLines: string[];
}

/** A line an instance printed. */
export interface OutputLine {
  deploymentId: string;
  instanceId: string;
  project: string;
  environment: string;
  service: string;
  stream: "stdout" | "stderr";
  /** Milliseconds since the epoch, when the line was read. */
  time: number;
  text: string;
  /** Position after the line in the instance's output of this stream, counted over rotations: with instance and stream it names the line. */
  offset: number;
}

export interface Runtime {
  /**
   * Starts the instances of a group and waits until all are healthy. Idempotent: instances that already run are kept.
   * On failure everything it started is stopped, and what was live before stays live.
   */
  start(group: InstanceGroup, signal: AbortSignal): Promise<{ ok: true } | ({ ok: false } & StartFailure)>;
  /** Sends the hosts' traffic to the group, then drains and stops every other group of the same service. Safe to repeat. */
  switchTo(deploymentId: string): Promise<void>;
  /** Changes the number of instances of a running group. */
  scale(
    deploymentId: string,
    replicas: number,
    signal: AbortSignal,
  ): Promise<{ ok: true } | ({ ok: false } & StartFailure)>;
  /** Drains and stops a group; resolves when no process of it is left. */
  stop(deploymentId: string): Promise<void>;
  /** What runs, by the processes themselves, not by memory. */
  status(deploymentId?: string): Promise<InstanceStatus[]>;
  /**
   * Every line from where it was last acknowledged; goes on until aborted. A line is acknowledged when `onLine` returns or,
   * if it returns a promise, when that resolves; when it rejects, the line and those after it come again.
   * After a kill the lines acknowledged in the last moments can come again, with the same instance, stream and offset.
   */
  output(onLine: (line: OutputLine) => void | Promise<void>, signal: AbortSignal): Promise<void>;
  /** Stops every group that is not named: for the start of a control plane, which alone knows what should run. */
  retain(deploymentIds: readonly string[]): Promise<void>;
  /** Address of the router, for example `http://localhost:3200`. */
  readonly routerUrl: string;
  /** Ends every instance and the router. */
  stopAll(): Promise<void>;
  /** Lets go: stops watching; instances and router go on. */
  close(): Promise<void>;
}
