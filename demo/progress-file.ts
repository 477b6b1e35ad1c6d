// Progress file: which phases of the demo are done on a data directory, so that the same command goes on from there.
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

const Progress = z.object({
  /** The partner services keep their port, which the deployed app was told. */
  partnersPort: z.int().nullable().default(null),
  /** Deployments that got their whole traffic. */
  driven: z.array(z.string()).default([]),
  /** Deployments whose whole traffic was looked at by the detectors. */
  analyzed: z.array(z.string()).default([]),
  /** Requests sent to the deployments in `driven`. */
  requests: z.int().default(0),
});
export type Progress = z.infer<typeof Progress>;

const path = (data: string) => join(data, "demo.json");

export async function readProgress(data: string): Promise<Progress> {
  const text = await readFile(path(data), "utf8").catch(() => null);
  return Progress.parse(text === null ? {} : JSON.parse(text));
}

export async function writeProgress(data: string, progress: Progress): Promise<void> {
  await writeFile(`${path(data)}.new`, JSON.stringify(progress));
  await rename(`${path(data)}.new`, path(data));
}
