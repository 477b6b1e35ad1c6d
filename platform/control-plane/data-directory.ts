// Data directory: everything one machine's platform keeps, held by one control plane at a time.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { writeDurably } from "../runtime/durable-file.ts";
import { identify, isAlive, type ProcessIdentity } from "../runtime/process-identity.ts";

const leastFreeBytes = 200 * 1024 * 1024;
const claimPollMs = 20;

/** `DIR/control-plane.json`: where the platform on this data directory is, for scripts. */
export const ControlPlaneFile = z.object({
  pid: z.int(),
  url: z.string(),
  dashboard: z.string(),
  mcp: z.string(),
  otlp: z.string(),
  otlpGrpc: z.string(),
  git: z.string(),
  token: z.string(),
});
export type ControlPlaneFile = z.infer<typeof ControlPlaneFile>;

const Identity: z.ZodType<ProcessIdentity> = z.object({ pid: z.int(), ticks: z.string(), boot: z.string() });

export class DataDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the directory where it is missing and takes hold of it.
   * Throws `data_directory_held` naming the holder, or `data_directory_unwritable`.
   *
   * Whoever wants it first leaves a file of its own in `holders/` and then looks for those of others: of two at the same
   * moment, the later one sees the earlier one for certain. Only files of living processes count, so nothing has to be
   * taken away from a dead holder, which two could do at once.
   */
  static async hold(path: string): Promise<DataDirectory> {
    const directory = new DataDirectory(resolve(path));
    await directory.#checkWritable();
    const me = identify(process.pid);
    if (!me) throw new TsdevError("internal", { message: "this process cannot be identified", fix: "start it again" });
    const mine = directory.#claimPath(me);
    if ((await directory.#holder())?.pid === me.pid) throw await directory.#held(me, path);
    writeDurably(mine, JSON.stringify(me));
    for (;;) {
      const others = await directory.#otherClaims(me);
      if (others.length === 0) break;
      const holder = await directory.#holder();
      // the higher number gives way, the lower one waits and sees
      const stronger = holder ?? others.find((other) => other.pid < me.pid);
      if (stronger) {
        await rm(mine, { force: true });
        throw await directory.#held(stronger, path);
      }
      await delay(claimPollMs);
    }
    writeDurably(directory.join("holder.json"), JSON.stringify(me));
    await directory.#keepOutOfGit();
    return directory;
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /** Where the platform is, or null when none has written it. */
  async controlPlane(): Promise<ControlPlaneFile | null> {
    return readControlPlane(this.path);
  }

  async announce(file: ControlPlaneFile): Promise<void> {
    writeDurably(this.join("control-plane.json"), `${JSON.stringify(file, null, 2)}\n`);
  }

  async release(): Promise<void> {
    await rm(this.join("control-plane.json"), { force: true });
    await rm(this.join("holder.json"), { force: true });
    const me = identify(process.pid);
    if (me) await rm(this.#claimPath(me), { force: true });
  }

  #claimPath({ pid, ticks, boot }: ProcessIdentity): string {
    const once = createHash("sha256").update(`${ticks} ${boot}`).digest("hex").slice(0, 12);
    return this.join("holders", `${pid}-${once}.json`);
  }

  /** Living processes that hold or want the directory; what the dead left is removed. */
  async #otherClaims(me: ProcessIdentity): Promise<ProcessIdentity[]> {
    const found: ProcessIdentity[] = [];
    for (const name of await readdir(this.join("holders"))) {
      const path = this.join("holders", name);
      if (path === this.#claimPath(me) || !name.endsWith(".json")) continue;
      const claim = await readIdentity(path);
      if (claim && isAlive(claim)) found.push(claim);
      // the name is of one process for all time, so nobody can have made it anew
      else await rm(path, { force: true });
    }
    return found;
  }

  async #holder(): Promise<ProcessIdentity | null> {
    const holder = await readIdentity(this.join("holder.json"));
    return holder && isAlive(holder) ? holder : null;
  }

  async #held(holder: ProcessIdentity, path: string): Promise<TsdevError> {
    const at = await this.controlPlane();
    const where = at?.pid === holder.pid ? ` at ${at.url}` : ", which is starting";
    return new TsdevError("data_directory_held", {
      message: `${this.path} is held by the control plane with pid ${holder.pid}${where}`,
      fix: `use that one, stop it with \`npx tsdev stop --data ${path}\`, or give another --data`,
    });
  }

  /** By default the directory lies in the folder of an app, whose commits must not hold tokens and keys. */
  async #keepOutOfGit(): Promise<void> {
    await writeFile(this.join(".gitignore"), "*\n", { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
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

async function readIdentity(path: string): Promise<ProcessIdentity | null> {
  const text = await readFile(path, "utf8").catch(() => null);
  return text === null ? null : (Identity.safeParse(safeJson(text)).data ?? null);
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
