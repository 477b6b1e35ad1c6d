// What a process before has left of its sampling: windows that are not stored yet, and decisions that still hold.
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Decisions, readDecisions } from "./decisions-file.ts";
import { type Frame, readFrames } from "./window-file.ts";

const windowName = /^(w[a-z0-9]+-\d+)\.(\d+)\.window$/;
const decisionsName = /^(w[a-z0-9]+-\d+)\.decisions$/;

export function windowPath(directory: string, id: string, waitMs: number): string {
  return join(directory, `${id}.${waitMs}.window`);
}

export function decisionsPath(directory: string, id: string): string {
  return join(directory, `${id}.decisions`);
}

/** Decisions of a window that is over; `at` is when they were made, in milliseconds since the epoch. */
export interface LeftDecisions {
  id: string;
  at: number;
  decisions: Decisions;
}

export interface LeftWindow {
  id: string;
  path: string;
  waitMs: number;
  frames: Frame[];
  /** Undefined where none were made. */
  decisions: Decisions | undefined;
}

/** Both in the order in which they were begun. Removes what was half written and decisions older than `rememberMs`. */
export async function leftBehind(
  directory: string,
  rememberMs: number,
): Promise<{ over: LeftDecisions[]; windows: LeftWindow[] }> {
  const over: LeftDecisions[] = [];
  const windows = new Map<string, LeftWindow>();
  const names = (await readdir(directory)).sort();
  for (const name of names) {
    const [, id, wait] = windowName.exec(name) ?? [];
    const path = join(directory, name);
    if (name.endsWith(".part")) await rm(path, { force: true });
    if (id === undefined) continue;
    const decisions = await readDecisions(decisionsPath(directory, id));
    windows.set(id, { id, path, waitMs: Number(wait), frames: readFrames(await readFile(path)), decisions });
  }
  for (const name of names) {
    const id = decisionsName.exec(name)?.[1];
    if (id === undefined || windows.has(id)) continue;
    const path = join(directory, name);
    const at = (await stat(path)).mtimeMs;
    if (at < Date.now() - rememberMs) await rm(path, { force: true });
    else over.push({ id, at, decisions: (await readDecisions(path))! });
  }
  return { over, windows: [...windows.values()] };
}
