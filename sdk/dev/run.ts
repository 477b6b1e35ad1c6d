// Run: the process of an app under `tsdev dev`: `node run.ts ENTRY`. Loads it, and loads again what an edit concerns.
import { existsSync, readFileSync, realpathSync } from "node:fs";
import type { Socket } from "node:net";
import { basename, dirname, join, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { getHeapStatistics } from "node:v8";
import { FileChanges } from "./file-changes.ts";
import { HeldPort, interceptListen } from "./held-port.ts";
import { installDevHost } from "./host.ts";
import { liveEngine } from "./live-engine.ts";
import { loadErrorOf } from "./load-error.ts";
import type { FromApp, ToApp } from "./messages.ts";
import { ModuleGraph } from "./module-graph.ts";
import { installModuleHooks } from "./module-hooks.ts";

/** V8 never frees a module, so old versions pile up; beyond this share of the heap's limit a new process is due. */
const heapShare = 0.7;
/** How long an edit waits for a load before it, whose top-level `await` may never end, milliseconds. */
const loadLimitMs = 5_000;
const restartFiles = /^(\.env|package\.json|tsdev\.config\.[cm]?[jt]s)$/;

const [node = "", , entryArgument = "", ...rest] = process.argv;
const entryPath = realpathSync(resolve(entryArgument));
process.argv = [node, entryPath, ...rest];
const entry = pathToFileURL(entryPath).href;
const mainPort = Number(process.env.PORT);

const sdkFolder = resolve(dirname(fileURLToPath(import.meta.url)), "..") + sep;
const root = rootOf(dirname(entryPath)) + sep;
const isApp = (path: string) =>
  path.startsWith(root) && !path.startsWith(sdkFolder) && !path.slice(root.length).includes(`node_modules${sep}`);

const graph = new ModuleGraph(isApp);
const ports = new Map<number, HeldPort>([[mainPort, new HeldPort(mainPort)]]);
const kept = new Map<string, unknown>();
/** What to end once newer code of `owner` than `version` answers. */
let undos: { owner: string; version: number; undo: () => unknown }[] = [];
let problem: { text: string } | null = null;

tellWhatEnds();
installDevHost({
  keep,
  onReload: (owner, undo) => {
    const file = owner === undefined ? entry : pathToFileURL(owner).href;
    const known = graph.isKnown(file) ? file : entry;
    undos.push({ owner: known, version: graph.versionOf(known), undo });
  },
  engine: (databaseUrl, open) => keep(`engine of ${databaseUrl ?? "memory"}`, async () => liveEngine(await open())),
});
interceptListen((port) => {
  let held = ports.get(port);
  if (!held) {
    held = new HeldPort(port);
    ports.set(port, held);
    held.listen().catch((error) => broken(error));
  }
  return held;
});
process.on("message", (message: ToApp, socket: unknown) => {
  if (message.kind === "connection" && socket) ports.get(mainPort)?.accept(socket as Socket);
  if (message.kind === "finish") void finish();
});
// Nobody is left to accept connections for it.
process.on("disconnect", () => process.exit(0));
installModuleHooks(graph, entry);

const changes = new FileChanges((paths) => void changed(paths));
changes.watch(process.cwd());
changes.watch(dirname(entryPath));

let loading: Promise<void> = load(performance.now(), new Set(), []);
await loading;
send({ kind: "ready" });

/** One load at a time: what changes meanwhile is loaded after it. A module that never ends can only be left with its process. */
async function changed(paths: readonly string[]): Promise<void> {
  const noticed = performance.now();
  const before = loading;
  const stuck = setTimeout(
    () => restart("a file still waits in a top-level await, and newer ones wait for it"),
    loadLimitMs,
  );
  void before.finally(() => clearTimeout(stuck));
  loading = before.then(() => reload(noticed, paths));
}

async function reload(noticed: number, paths: readonly string[]): Promise<void> {
  const changedFiles = new Set<string>();
  for (const path of paths) {
    const url = pathToFileURL(path).href;
    if (dirname(path) === process.cwd() && restartFiles.test(basename(path))) {
      return restart(`${basename(path)} changed`);
    }
    if (graph.isKnown(url)) {
      if (textOf(path) === graph.sourceOf(url)) continue;
      if (graph.isCommonJs(url)) return restart(`${basename(path)} is CommonJS`);
      changedFiles.add(url);
    } else if (/\.([cm]?[jt]s|json)$/.test(path) && isApp(path)) {
      for (const file of graph.concernedBy(url)) changedFiles.add(file);
    }
  }
  if (changedFiles.size === 0) return;
  const affected = graph.invalidate(changedFiles);
  if (!affected.has(entry)) return;
  await load(
    noticed,
    affected,
    [...changedFiles].map((url) => fileURLToPath(url)),
  );
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  if (used > heapShare * limit) restart("old versions of modules fill the memory");
}

/** Imports the entry; what it imports follows with the version that each file has now. */
async function load(noticed: number, affected: ReadonlySet<string>, files: string[]): Promise<void> {
  const before = new Map([...ports].map(([port, held]) => [port, held.current]));
  try {
    await import(entry);
  } catch (error) {
    for (const [port, held] of ports) held.backTo(before.get(port));
    return broken(error);
  } finally {
    for (const url of graph.files) changes.watch(dirname(fileURLToPath(url)));
  }
  const due = undos.filter(({ owner, version }) => version < graph.versionOf(owner));
  undos = undos.filter((one) => !due.includes(one));
  setProblem(null);
  for (const held of ports.values()) held.settle();
  for (const { undo } of due) await Promise.try(undo).catch((error) => broken(error));
  const listening = [...ports.values()].filter((held) => held.current).map(({ port }) => port);
  const modules = Math.max(affected.size, files.length);
  send({ kind: "live", ms: performance.now() - noticed, changed: files, modules, ports: listening });
}

function broken(error: unknown): void {
  const { place, message, detail } = loadErrorOf(error, isApp);
  setProblem({ text: place === null ? message : `${place} ${message}` });
  send({ kind: "broken", place, message, detail });
}

function setProblem(value: { text: string } | null): void {
  problem = value;
  for (const held of ports.values()) held.problem = problem;
}

function keep<T>(name: string, make: () => T): T {
  if (kept.has(name)) return kept.get(name) as T;
  const value = make();
  kept.set(name, value);
  if (value instanceof Promise) value.catch(() => kept.delete(name));
  return value;
}

/** Clients that keep a connection come again, and then to the new process. */
function restart(reason: string): void {
  for (const held of ports.values()) held.retire();
  send({ kind: "restart", reason });
}

async function finish(): Promise<void> {
  await Promise.all([...ports.values()].map((held) => held.retire()));
  send({ kind: "finished" });
}

function send(message: FromApp): void {
  process.send?.(message);
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The repository that the app is in, so that an edit of a neighbouring package counts; else the working folder. */
function rootOf(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, ".git"))) return at;
    if (dirname(at) === at) return process.cwd();
  }
}

/** A fault in a handler must not end what others are using; Node would end the process. */
function tellWhatEnds(): void {
  process.on("uncaughtException", (error) => {
    process.stderr.write(`${loadErrorOf(error, () => true).detail}\n`);
  });
}
