// File changes: watches the folders of the app's files and tells once an edit is whole.
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { join } from "node:path";

/** Editors and `git checkout` write in bursts: an edit is whole when nothing came for this long. */
const settleMs = 8;
/** An empty file is most likely one that is being written. */
const emptyMs = 60;

/** Folders are watched, not files: editors replace a file by renaming another one over it. */
export class FileChanges {
  readonly #tell: (paths: readonly string[]) => void;
  readonly #watchers = new Map<string, FSWatcher>();
  #pending = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (paths: readonly string[]) => void) {
    this.#tell = tell;
  }

  watch(folder: string): void {
    if (this.#watchers.has(folder)) return;
    try {
      const watcher = watch(folder, (_event, name) => name && this.#saw(join(folder, name)));
      watcher.on("error", () => this.#forget(folder));
      this.#watchers.set(folder, watcher);
    } catch {
      // A folder that is gone is watched again when a file of it is loaded.
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const folder of [...this.#watchers.keys()]) this.#forget(folder);
  }

  #forget(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #saw(path: string): void {
    this.#pending.add(path);
    this.#arm(isEmpty(path) ? emptyMs : settleMs);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const paths = [...this.#pending];
      this.#pending = new Set();
      this.#tell(paths);
    }, ms);
  }
}

function isEmpty(path: string): boolean {
  try {
    return readFileSync(path).length === 0;
  } catch {
    return false;
  }
}
