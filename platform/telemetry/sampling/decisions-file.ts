// The decisions about a window's traces as they lie on disk: made once, whatever becomes of the process that made them.
import { readFile, rename, writeFile } from "node:fs/promises";
import type { Weight } from "./decision.ts";

/** By environment (`environmentKey`) and trace id. */
export type Decisions = ReadonlyMap<string, ReadonlyMap<string, Weight>>;

/** In place whole or not at all. */
export async function writeDecisions(path: string, decisions: Decisions): Promise<void> {
  const entries = [...decisions].map(([environment, weights]) => [environment, [...weights]]);
  await writeFile(`${path}.part`, JSON.stringify(entries), { mode: 0o600 });
  await rename(`${path}.part`, path);
}

/** Undefined where none were made. */
export async function readDecisions(path: string): Promise<Decisions | undefined> {
  try {
    const entries = JSON.parse(await readFile(path, "utf8")) as Array<[string, Array<[string, Weight]>]>;
    return new Map(entries.map(([environment, weights]) => [environment, new Map(weights)]));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
