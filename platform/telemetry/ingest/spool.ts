// Spool: rows lie in a file before they are inserted, so that neither a kill nor a database that is away loses what was acknowledged.
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TsdevError } from "../../../sdk/errors.ts";
import { isAway } from "./away.ts";
import { RequestJournal } from "./request-journal.ts";
import { type IngestTable, ingestTables } from "./tables.ts";

/** Rows of one insert, and the digests of the requests that they came in. */
export interface Group {
  table: IngestTable;
  rows: readonly Buffer[];
  requests: readonly string[];
}

export interface SpoolOptions {
  /** Where the files lie: the same disk as the state, not a file system in memory. */
  directory: string;
  /** Stores a file of rows. The same token stores once. */
  insert(table: IngestTable, file: string, token: string): Promise<void>;
  /** Most bytes that may lie in wait of the database. */
  limitBytes?: number;
  /** Also after a loss of power: files are synced before they count. */
  sync?: boolean;
  log?: (message: string) => void;
  /** Longest pause between two tries of a database that is away, in milliseconds. */
  maxPauseMs?: number;
}

const defaultLimitBytes = 1024 * 1024 * 1024;
const rowsSuffix = ".rows";
/** A group that failed so often, while others were stored, is kept aside. */
const hopelessTries = 20;

/** What waits for the database, and since when it is away (milliseconds since the epoch). */
export interface SpoolState {
  files: number;
  bytes: number;
  awaySince: number | null;
}

interface Waiting {
  id: string;
  table: IngestTable;
  bytes: number;
  /** How often it failed, and how many others had been stored when it failed first. */
  tries?: number;
  first?: number;
}

/**
 * A group is written to a file, noted in the journal, put in place by a rename, inserted under its id as the
 * deduplication token, noted as stored, and removed. After a kill at any line the next process inserts what lies there
 * under the same tokens. While the database is away, `store` resolves as soon as the file is in place.
 */
export class Spool {
  readonly #options: Required<SpoolOptions>;
  readonly #journal: RequestJournal;
  readonly #waiting: Waiting[] = [];
  readonly #closing = new AbortController();
  #bytes = 0;
  #number = 0;
  #awaySince: number | undefined;
  #draining: Promise<void> = Promise.resolve();
  /** Ids of this process begin with the time of its start: they never come again. */
  readonly #epoch = Date.now().toString(36);

  private constructor(options: Required<SpoolOptions>, journal: RequestJournal) {
    this.#options = options;
    this.#journal = journal;
  }

  /** Opens the directory and begins to insert what a process before left there. */
  static async open(given: SpoolOptions): Promise<Spool> {
    const options = { limitBytes: defaultLimitBytes, sync: false, log: console.error, maxPauseMs: 15_000, ...given };
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const left: Waiting[] = [];
    for (const name of (await readdir(options.directory)).sort()) {
      const group = named(name);
      const path = join(options.directory, name);
      if (group) left.push({ ...group, bytes: (await stat(path)).size });
      // Half written when its process ended: its requests were never acknowledged.
      else if (name.endsWith(".part")) await rm(path, { force: true });
    }
    const journal = await RequestJournal.open(options.directory, new Set(left.map(({ id }) => id)));
    const spool = new Spool(options, journal);
    for (const group of left) spool.#wait(group);
    if (left.length > 0) spool.#drain();
    return spool;
  }

  /** Whether a request was stored within the last five minutes, also by a process before. */
  knows(request: string): boolean {
    return this.#journal.knows(request);
  }

  state(): SpoolState {
    return { files: this.#waiting.length, bytes: this.#bytes, awaySince: this.#awaySince ?? null };
  }

  /**
   * Resolves when the rows are stored, or safe on disk while the database is away. Throws `rate_limited` when too much
   * waits, `unavailable` when the disk takes nothing, and whatever the database says of rows that it refuses. Who may come
   * again with the same group after a kill gives it an id of its own, lower case and of the form `name-number`.
   */
  async store(group: Group, id = `${this.#epoch}-${String(this.#number++).padStart(9, "0")}`): Promise<void> {
    const size = group.rows.reduce((sum, { length }) => sum + length, 0);
    if (size === 0) return this.#note(id, group.requests);
    if (this.#waiting.some((waiting) => waiting.id === id)) return;
    if (this.#awaySince !== undefined && this.#bytes + size > this.#options.limitBytes) throw full(this.#bytes);
    await this.#place(id, group);
    const waiting = { id, table: group.table, bytes: size };
    // While others wait the newest waits too: the database gets one file at a time until it has caught up.
    if (this.#awaySince !== undefined) return this.#wait(waiting);
    try {
      await this.#insert(waiting);
    } catch (error) {
      if (isAway(error)) {
        this.#options.log(`ClickHouse is away: telemetry is kept on disk (${(error as Error).message})`);
        this.#wait(waiting);
        return this.#drain();
      }
      await this.#forget(waiting, group.requests);
      throw error;
    }
  }

  /** Stops the tries; what waits is for the next process. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#draining;
    await this.#journal.close();
  }

  #path(group: Pick<Waiting, "id" | "table">): string {
    return join(this.#options.directory, `${group.id}.${group.table}${rowsSuffix}`);
  }

  async #place(id: string, { table, rows, requests }: Group): Promise<void> {
    const path = this.#path({ id, table });
    const part = `${path}.part`;
    try {
      const file = await open(part, "w", 0o600);
      try {
        await file.writeFile(rows);
        if (this.#options.sync) await file.datasync();
      } finally {
        await file.close();
      }
      // Known only once the rename is done: a name in the journal without rows or `stored` counts for nothing.
      await this.#journal.begin(id, requests);
      if (this.#options.sync) await this.#journal.sync();
      await rename(part, path);
      if (this.#options.sync) await syncDirectory(this.#options.directory);
    } catch (cause) {
      await rm(part, { force: true }).catch(() => {});
      throw notWritten(cause);
    }
    this.#journal.placed(requests);
  }

  /** Requests of which there is nothing to store are known all the same. */
  async #note(id: string, requests: readonly string[]): Promise<void> {
    try {
      await this.#journal.begin(id, requests);
      await this.#journal.stored(id);
    } catch (cause) {
      throw notWritten(cause);
    }
    this.#journal.placed(requests);
  }

  async #insert(group: Waiting): Promise<void> {
    const path = this.#path(group);
    await this.#options.insert(group.table, path, group.id);
    try {
      await this.#journal.stored(group.id);
      await rm(path, { force: true });
    } catch (error) {
      // The rows are stored, which nothing that comes after may deny. The file stays, and its token keeps it from being
      // stored again by the next process.
      this.#options.log(`telemetry that is stored could not be noted as that: ${(error as Error).message}`);
    }
  }

  async #forget(group: Waiting, requests: readonly string[]): Promise<void> {
    this.#journal.forget(requests);
    await rm(this.#path(group), { force: true });
  }

  #wait(group: Waiting): void {
    this.#waiting.push(group);
    this.#bytes += group.bytes;
  }

  /** Begins the tries, unless they are under way. */
  #drain(): void {
    if (this.#awaySince !== undefined) return;
    this.#awaySince = Date.now();
    this.#draining = this.#catchUp();
  }

  async #catchUp(): Promise<void> {
    let pause = 250;
    let stored = 0;
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const [group] = this.#waiting as [Waiting];
      try {
        await this.#insert(group);
        pause = 250;
        stored++;
      } catch (error) {
        group.first ??= stored;
        group.tries = (group.tries ?? 0) + 1;
        // One that fails while others are stored may be too large for the database's memory, whenever it comes.
        const hopeless = !isAway(error) || (group.tries >= hopelessTries && stored > group.first);
        if (!hopeless || !(await this.#setAside(group, error))) {
          this.#waiting.push(this.#waiting.shift()!);
          await delay(pause, undefined, { signal: this.#closing.signal }).catch(() => {});
          pause = Math.min(pause * 2, this.#options.maxPauseMs);
          continue;
        }
      }
      this.#waiting.shift();
      this.#bytes -= group.bytes;
    }
    // In the same turn as the last look at what waits: who comes now inserts by itself.
    this.#awaySince = undefined;
  }

  /** Rows that were acknowledged and that the database will never take: kept for a person to look at. */
  async #setAside(group: Waiting, error: unknown): Promise<boolean> {
    const refused = join(this.#options.directory, "refused");
    const why = (error as Error).message;
    try {
      await mkdir(refused, { recursive: true, mode: 0o700 });
      await rename(this.#path(group), join(refused, `${group.id}.${group.table}${rowsSuffix}`));
    } catch (cause) {
      this.#options.log(`ClickHouse refuses telemetry (${why}) that cannot be moved: ${(cause as Error).message}`);
      return false;
    }
    this.#options.log(`ClickHouse refuses telemetry that is kept in ${refused}: ${why}`);
    return true;
  }
}

function named(name: string): { id: string; table: IngestTable } | null {
  const match = /^([a-z0-9]+-\d+)\.(\w+)\.rows$/.exec(name);
  const table = ingestTables.find((one) => one === match?.[2]);
  return match?.[1] && table ? { id: match[1], table } : null;
}

function full(bytes: number): TsdevError {
  return new TsdevError("rate_limited", {
    message: `ClickHouse is away and ${Math.round(bytes / 1024 / 1024)} MiB of telemetry wait on disk, which is the limit`,
    fix: "bring ClickHouse back; senders try again by themselves",
  });
}

/** For what a disk says that takes nothing. */
export function notWritten(cause: unknown): TsdevError {
  const full = (cause as NodeJS.ErrnoException).code === "ENOSPC";
  return new TsdevError("unavailable", {
    message: full ? "the disk is full: telemetry cannot be taken" : "telemetry cannot be written to the disk",
    fix: full ? "make room on the disk of the data directory; senders try again" : "look at the disk",
    cause,
  });
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
