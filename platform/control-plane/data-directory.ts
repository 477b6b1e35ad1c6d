// Data directory: everything one machine's platform keeps, held by one control plane at a time.
import { mkdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { identify, isAlive, type ProcessIdentity } from "../runtime/process-identity.ts";

const leastFreeBytes = 200 * 1024 * 1024;

/** `DIR/control-plane.json`: where the platform on this data directory is, for scripts. */
export const ControlPlaneFile = z.object({
  pid: z.int(),
  url: z.string(),
  dashboard: z.string(),
  mcp: z.string(),
  otlp: z.string(),
  git: z.string(),
  token: z.string(),
});
export type ControlPlaneFile = z.infer<typeof ControlPlaneFile>;

const Holder: z.ZodType<ProcessIdentity> = z.object({ pid: z.int(), ticks: z.string(), boot: z.string() });

export class DataDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the directory where it is missing and takes hold of it.
   * Throws `data_directory_held` naming the holder, or `data_directory_unwritable`.
   */
  static async hold(path: string): Promise<DataDirectory> {
    const directory = new DataDirectory(resolve(path));
    await directory.#checkWritable();
    const holderPath = directory.join("holder.json");
    const mine = JSON.stringify(identify(process.pid));
    // wx makes the taking atomic; a holder that is no longer alive is replaced
    for (;;) {
      try {
        await writeFile(holderPath, mine, { flag: "wx", mode: 0o600 });
        return directory;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const text = await readFile(holderPath, "utf8").catch(() => null);
      const holder = text ? Holder.safeParse(safeJson(text)) : null;
      if (holder?.success && isAlive(holder.data)) {
        const at = await directory.controlPlane();
        throw new TsdevError("data_directory_held", {
          message: `${directory.path} is held by the control plane with pid ${holder.data.pid}${at ? ` at ${at.url}` : ", which is starting"}`,
          fix: `use that one, stop it with \`npx tsdev stop --data ${path}\`, or give another --data`,
        });
      }
      // moved aside first, so that of two starters only one removes the dead holder's file
      const aside = `${holderPath}.${process.pid}`;
      await rename(holderPath, aside).catch(() => undefined);
      await rm(aside, { force: true });
    }
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Where the platform is, or null when none has written it. */
  async controlPlane(): Promise<ControlPlaneFile | null> {
    return readControlPlane(this.path);
  }

  async announce(file: ControlPlaneFile): Promise<void> {
    const path = this.join("control-plane.json");
    await writeFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async release(): Promise<void> {
    await rm(this.join("control-plane.json"), { force: true });
    await rm(this.join("holder.json"), { force: true });
  }

  async #checkWritable(): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true, mode: 0o700 });
      const probe = this.join(`.probe-${process.pid}`);
      await writeFile(probe, "x");
      await rm(probe);
    } catch (cause) {
      throw new TsdevError("data_directory_unwritable", {
        message: `cannot write to ${this.path}: ${cause instanceof Error ? cause.message : cause}`,
        fix: "make the folder writable for this user, free some space, or give another --data",
        cause,
      });
    }
    const { bavail, bsize } = await statfs(this.path);
    if (bavail * bsize < leastFreeBytes) {
      throw new TsdevError("data_directory_unwritable", {
        message: `only ${Math.floor((bavail * bsize) / 1024 / 1024)} MiB are free at ${this.path}`,
        fix: "free at least 200 MiB, or give another --data",
      });
    }
  }
}

/** Reads `control-plane.json` of a data directory, or null; the process may be gone. */
export async function readControlPlane(path: string): Promise<ControlPlaneFile | null> {
  const text = await readFile(join(path, "control-plane.json"), "utf8").catch(() => null);
  const parsed = text ? ControlPlaneFile.safeParse(safeJson(text)) : null;
  return parsed?.success ? parsed.data : null;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
