// One running copy of an app: a process group of its own that outlives the control plane, and the files that let it be found again.
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { newId } from "../store/id.ts";
import { readJson, writeDurably } from "./durable-file.ts";
import { inheritedEnvironment } from "./inherited-environment.ts";
import { endGroup, groupMembers, sendSignal } from "./process-group.ts";
import {
  findMarked,
  findProcess,
  identify,
  isAlive,
  type ProcessEntry,
  type ProcessIdentity,
} from "./process-identity.ts";
import type { InstanceGroup } from "./runtime.ts";
import { parseStartCommand } from "./start-command.ts";

export type OutputStream = "stdout" | "stderr";

/** What is known of an instance beyond the life of the control plane: `record.json` in its folder. */
export interface InstanceRecord {
  id: string;
  deploymentId: string;
  project: string;
  environment: string;
  service: string;
  port: number;
  /** Loopback address that it answers on. */
  host: string;
  /** The waiting shell, leader of the process group; missing when the control plane died in the middle of the spawn. */
  shell?: ProcessIdentity;
  /** The app itself, the shell's child. */
  app?: ProcessIdentity;
  startedAt: string;
  restarts: number;
  /** It answered its health probe. */
  healthy: boolean;
  /** It gets no new requests. */
  draining: boolean;
}

// The shell starts the app with the log files handed straight to it, waits, and leaves the exit code behind: nobody else
// than the parent can learn it. It does not end by SIGTERM, which goes to the whole group, before the app has.
const waitingShell = `
folder=$1; shift
trap : TERM INT HUP
"$@" &
app=$!
echo "$app" >"$folder/app.tmp"; mv -f "$folder/app.tmp" "$folder/app"
while :; do
  wait "$app"; code=$?
  kill -0 "$app" 2>/dev/null || break
done
echo "$code" >"$folder/exit.tmp"; mv -f "$folder/exit.tmp" "$folder/exit"
`;

/** Names of the log files in an instance's folder. */
export const outputFile: Record<OutputStream, string> = { stdout: "output.log", stderr: "errors.log" };

export class Instance {
  readonly folder: string;
  readonly record: InstanceRecord;
  /** Answered its last probes; a live instance that hangs turns false. */
  answering = true;

  constructor(folder: string, record: InstanceRecord) {
    this.folder = folder;
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  /** In the environment of everything the instance starts. */
  get marker(): string {
    return `TSDEV_INSTANCE=${this.id}`;
  }

  save(changes: Partial<InstanceRecord> = {}): void {
    Object.assign(this.record, changes);
    writeDurably(join(this.folder, "record.json"), JSON.stringify(this.record));
  }

  /** Notes who the app is as soon as the shell has said its pid. */
  learnApp(): void {
    if (this.record.app || !this.record.shell) return;
    const pid = Number(readText(join(this.folder, "app")));
    // A pid from the file alone could be somebody else's by now: it counts only inside the instance's own group.
    if (pid > 0 && findProcess(pid)?.group === this.record.shell.pid) {
      const app = identify(pid);
      if (app) this.save({ app });
    }
  }

  /** Cheap: true while the shell or the app runs. */
  isRunning(): boolean {
    const { shell, app } = this.record;
    if (this.exitCode() !== null && !(app && isAlive(app))) return false;
    return (shell !== undefined && isAlive(shell)) || (app !== undefined && isAlive(app));
  }

  /** Every live process of the instance, also those that left its group (Linux). */
  members(): ProcessEntry[] {
    const { shell } = this.record;
    const found = new Map(findMarked(this.marker).map((entry) => [entry.pid, entry]));
    if (shell && this.isRunning()) for (const entry of groupMembers(shell.pid)) found.set(entry.pid, entry);
    return [...found.values()];
  }

  /** Exit code of the app (128 + signal when a signal ended it); null while it runs or when nobody could learn it. */
  exitCode(): number | null {
    const text = readText(join(this.folder, "exit"));
    return text === undefined ? null : Number(text);
  }

  /** SIGTERM to the group, SIGKILL after `graceMs`; resolves when no process of the instance is left. */
  async end(graceMs: number): Promise<void> {
    const groups = new Set(this.members().map((entry) => entry.group));
    await Promise.all([...groups].map((group) => endGroup(group, { graceMs })));
    for (const left of findMarked(this.marker)) sendSignal(left.pid, "SIGKILL");
  }

  /** Last lines of both streams, for a message. */
  lastLines(count: number): string[] {
    const tail = (stream: OutputStream) =>
      (readText(join(this.folder, outputFile[stream])) ?? "")
        .slice(-20_000)
        .split("\n")
        .filter((line) => line.trim() !== "");
    const errors = tail("stderr").slice(-count);
    return [...tail("stdout").slice(errors.length - count || count), ...errors].slice(-count);
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Starts an instance; it is not healthy yet. Safe against a kill at any point: the record is there before the process. */
export function spawnInstance(
  instances: string,
  group: InstanceGroup,
  port: number,
  options: { nodePath: string; restarts: number; log: (message: string) => void },
): Instance {
  const id = newId("ins");
  const folder = join(instances, id);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { deploymentId, project, environment, service } = group;
  const instance = new Instance(folder, {
    ...{ id, deploymentId, project, environment, service, port },
    host: "127.0.0.1",
    startedAt: new Date().toISOString(),
    restarts: options.restarts,
    healthy: false,
    draining: false,
  });
  instance.save();
  // Append mode: a rotation may truncate the file under the app without leaving a hole.
  const stdout = openSync(join(folder, outputFile.stdout), "a", 0o600);
  const stderr = openSync(join(folder, outputFile.stderr), "a", 0o600);
  try {
    const command = parseStartCommand(group.start, options.nodePath);
    const shell = spawn("sh", ["-c", waitingShell, "tsdev-instance", folder, command.program, ...command.args], {
      cwd: group.folder,
      detached: true,
      stdio: ["ignore", stdout, stderr],
      env: {
        ...inheritedEnvironment(options.nodePath, group.folder),
        ...group.env,
        PORT: String(port),
        TSDEV_INSTANCE: id,
      },
    });
    shell.on("error", (error) => options.log(`instance ${id}: ${error.message}`));
    shell.unref();
    const identity = shell.pid === undefined ? undefined : identify(shell.pid);
    if (identity) instance.save({ shell: identity });
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
  return instance;
}

/** Every instance that has left a record, running or not. */
export function findInstances(instances: string): Instance[] {
  if (!existsSync(instances)) return [];
  return readdirSync(instances).flatMap((name) => {
    const folder = join(instances, name);
    const record = readJson<InstanceRecord>(join(folder, "record.json"));
    if (!record) {
      // A kill came between the folder and its first record: nothing was started.
      rmSync(folder, { recursive: true, force: true });
      return [];
    }
    return [new Instance(folder, record)];
  });
}
