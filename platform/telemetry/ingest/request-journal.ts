// RequestJournal: which requests were stored lately, in a file that outlives the process, so that one sent again is stored once.
import { type FileHandle, open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * How long a request is known again, in milliseconds. Senders give up after it: the Collector's `max_elapsed_time` is
 * 300 s, the exporters of the SDKs' is shorter.
 */
export const knownMs = 300_000;

/** More requests than this are not remembered: about 10 MB. */
const knownLimit = 100_000;

const suffix = ".requests";

/**
 * Lines of a file: `group TIME ID DIGEST…` before the rows of a group are put in place, `stored ID` after they are in the
 * database. A digest counts when its group was stored, or when the rows of its group still lie in the spool.
 */
export class RequestJournal {
  readonly #directory: string;
  readonly #known: Map<string, number>;
  #file: FileHandle;
  #openedAt: number;

  private constructor(directory: string, known: Map<string, number>, file: FileHandle, openedAt: number) {
    this.#directory = directory;
    this.#known = known;
    this.#file = file;
    this.#openedAt = openedAt;
  }

  /** Reads what a process before noted. `waiting` are the ids of the groups whose rows lie in the spool. */
  static async open(directory: string, waiting: ReadonlySet<string>, now = Date.now()): Promise<RequestJournal> {
    const groups = new Map<string, { at: number; digests: string[] }>();
    const stored = new Set(waiting);
    const files = (await readdir(directory)).filter((name) => name.endsWith(suffix)).sort();
    for (const name of files) {
      for (const line of (await readFile(join(directory, name), "latin1")).split("\n")) {
        const [word, ...rest] = line.split(" ");
        if (word === "stored" && rest[0]) stored.add(rest[0]);
        else if (word === "group" && rest.length > 2) {
          groups.set(rest[1]!, { at: Number(rest[0]), digests: rest.slice(2) });
        }
      }
    }
    const lately = [...groups].filter(([id, { at }]) => stored.has(id) && at > now - knownMs);
    const known = new Map(lately.flatMap(([, { at, digests }]) => digests.map((digest) => [digest, at] as const)));
    const file = await open(join(directory, fileName(now)), "a", 0o600);
    // What still counts goes into the file of this process, and the others are no longer needed.
    for (const [id, { at, digests }] of lately) await file.write(`${groupLine(at, id, digests)}stored ${id}\n`);
    await file.datasync();
    for (const name of files) if (name !== fileName(now)) await rm(join(directory, name), { force: true });
    return new RequestJournal(directory, known, file, now);
  }

  /** Whether this request was stored within the last five minutes. */
  knows(digest: string, now = Date.now()): boolean {
    return (this.#known.get(digest) ?? 0) > now - knownMs;
  }

  /** Before the rows of the group are put in place. */
  async begin(id: string, digests: readonly string[], now = Date.now()): Promise<void> {
    if (digests.length === 0) return;
    await this.#rotate(now);
    await this.#file.write(groupLine(now, id, digests));
  }

  /** After the rows of the group are in place: from now on its requests are known. */
  placed(digests: readonly string[], now = Date.now()): void {
    for (const digest of digests) this.#known.set(digest, now);
    // A map keeps the order of insertion: the oldest come first.
    for (const [digest, at] of this.#known) {
      if (this.#known.size <= knownLimit && at > now - knownMs) break;
      this.#known.delete(digest);
    }
  }

  /** The rows could not be kept: their requests may come again. */
  forget(digests: readonly string[]): void {
    for (const digest of digests) this.#known.delete(digest);
  }

  async stored(id: string): Promise<void> {
    await this.#file.write(`stored ${id}\n`);
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** A file is for one span of `knownMs`; those before the last are forgotten. */
  async #rotate(now: number): Promise<void> {
    if (now - this.#openedAt < knownMs) return;
    const before = this.#openedAt;
    this.#openedAt = now;
    const next = await open(join(this.#directory, fileName(now)), "a", 0o600);
    const last = this.#file;
    this.#file = next;
    await last.close();
    for (const name of await readdir(this.#directory)) {
      if (name.endsWith(suffix) && name < fileName(before)) await rm(join(this.#directory, name), { force: true });
    }
  }
}

function groupLine(at: number, id: string, digests: readonly string[]): string {
  return `group ${at} ${id} ${digests.join(" ")}\n`;
}

/** Sorts by time. */
function fileName(at: number): string {
  return `${String(at).padStart(15, "0")}${suffix}`;
}
