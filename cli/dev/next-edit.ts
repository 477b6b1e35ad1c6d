// Next edit: tells once that a folder was edited since a moment, also when that was before anybody looked.
import { type Dirent, type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { join, sep } from "node:path";

/** Neither the author's words, nor read by the app as such. */
const ignored = /(^|[\\/])(node_modules|\.git|\.tsdev)([\\/]|$)/;
/** What a person edits. Other files an app that dies may have written itself, and it would be started without end. */
const edited = /(\.[cm]?[jt]sx?|(^|[\\/])(package\.json|\.env[^\\/]*))$/;
/** A file's time is that of the kernel's last tick, which comes at least 100 times a second. */
const tickMs = 10;

export class NextEdit {
  readonly #folder: string;
  #watcher: FSWatcher | undefined;
  /** What the files had in them whose edit was told: that is no edit once more, whoever wrote it. */
  readonly #told = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Calls `tell` once, in this call already where a source was edited since `since` (ms since 1970). From now on any
   * file counts. One wait at a time: a later one stands in its place.
   */
  wait(since: number, tell: () => void): void {
    this.close();
    // Watched before the files are looked at, so that nothing falls between the two.
    this.#watcher = watch(this.#folder, { recursive: true }, (_event, name) => {
      if (!name || ignored.test(name)) return;
      this.close();
      if (edited.test(name)) this.#isOther(name);
      tell();
    });
    const before = sourcesSince(this.#folder, since - tickMs).filter((name) => this.#isOther(name));
    if (before.length === 0) return;
    this.close();
    tell();
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #isOther(name: string): boolean {
    const text = textOf(join(this.#folder, name));
    if (text === undefined || this.#told.get(name) === text) return false;
    this.#told.set(name, text);
    return true;
  }
}

/** By the time that a rename changes too, and that no program sets. */
function sourcesSince(folder: string, since: number): string[] {
  const found: string[] = [];
  const look = (below: string) => {
    for (const entry of entriesOf(join(folder, below))) {
      const name = below + entry.name;
      if (ignored.test(name)) continue;
      if (entry.isDirectory()) look(name + sep);
      else if (edited.test(name) && changedAt(join(folder, name)) >= since) found.push(name);
    }
  };
  look("");
  return found;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // It is gone, or not ours to read.
    return [];
  }
}

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
