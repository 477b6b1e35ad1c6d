// Progress file: which phases of the demo are done on a data directory, so that the same command goes on from there.
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

const Progress = z.object({
  /** The partner services keep their port, which the deployed app was told. */
  partnersPort: z.int().nullable().default(null),
  /** When the demo first began, in milliseconds since the epoch. */
  began: z.number(),
  /** Deployments that got their whole traffic. */
  driven: z.array(z.string()).default([]),
  /** Seconds of work of runs that were cut short are not known; those of finished phases are. */
  phases: z.record(z.string(), z.number()).default({}),
});
export type Progress = z.infer<typeof Progress>;

const path = (data: string) => join(data, "demo.json");

export async function readProgress(data: string): Promise<Progress> {
  const text = await readFile(path(data), "utf8").catch(() => null);
  return Progress.parse(text === null ? { began: Date.now() } : JSON.parse(text));
}

export async function writeProgress(data: string, progress: Progress): Promise<void> {
  await writeFile(`${path(data)}.new`, JSON.stringify(progress));
  await rename(`${path(data)}.new`, path(data));
}
