// Module graph: which module imports which, and the version of each of the app's files.
import { fileURLToPath } from "node:url";

const mark = "tsdev";

/** The URL of a file without the version that `ModuleGraph` added. */
export function plainUrl(url: string): string {
  const at = url.indexOf(`?${mark}=`);
  return at < 0 ? url : url.slice(0, at);
}

/**
 * Invariants: a version only rises; a file and all that import it rise together, so a module never sees an old and a new
 * version of the same file through two ways.
 */
export class ModuleGraph {
  readonly #isApp: (path: string) => boolean;
  readonly #versions = new Map<string, number>();
  readonly #importers = new Map<string, Set<string>>();
  readonly #sources = new Map<string, string>();
  readonly #commonJs = new Set<string>();
  readonly #incomplete = new Set<string>();

  constructor(isApp: (path: string) => boolean) {
    this.#isApp = isApp;
  }

  /** The app's files that were loaded, as URLs. */
  get files(): Iterable<string> {
    return this.#versions.keys();
  }

  isAppFile(url: string): boolean {
    return url.startsWith("file:") && !url.includes("?") && this.#isApp(fileURLToPath(url));
  }

  /** Notes that `parent` imports `url`, and answers the URL with its version. */
  imported(url: string, parent: string | undefined): string {
    if (parent !== undefined) setOf(this.#importers, url).add(plainUrl(parent));
    if (!this.isAppFile(url)) return url;
    const version = this.#versions.get(url) ?? 0;
    this.#versions.set(url, version);
    return version === 0 || this.#commonJs.has(url) ? url : `${url}?${mark}=${version}`;
  }

  /** Notes that an import of `parent` led nowhere: a file that comes into being may be the one it means. */
  unresolved(parent: string | undefined): void {
    if (parent !== undefined) this.#incomplete.add(plainUrl(parent));
  }

  loaded(url: string, source: string, format: string | null | undefined): void {
    if (!this.isAppFile(url)) return;
    this.#sources.set(url, source);
    if (format?.startsWith("commonjs")) this.#commonJs.add(url);
  }

  /** How often it was invalidated. */
  versionOf(url: string): number {
    return this.#versions.get(url) ?? 0;
  }

  isKnown(url: string): boolean {
    return this.#versions.has(url);
  }

  /** CommonJS keeps its modules by file name, so only a new process gets the new code. */
  isCommonJs(url: string): boolean {
    return this.#commonJs.has(url);
  }

  /** The text that was loaded last; undefined when it could not be loaded. */
  sourceOf(url: string): string | undefined {
    return this.#sources.get(url);
  }

  /**
   * Raises the version of these files and of every file that imports them, directly or through a library (one that scans
   * a folder, say), and answers all of them.
   */
  invalidate(urls: Iterable<string>): Set<string> {
    const seen = new Set<string>();
    const pending = [...urls];
    for (let url = pending.pop(); url !== undefined; url = pending.pop()) {
      if (seen.has(url)) continue;
      seen.add(url);
      pending.push(...(this.#importers.get(url) ?? []));
    }
    const affected = new Set([...seen].filter((url) => this.isAppFile(url)));
    for (const url of affected) {
      this.#versions.set(url, (this.#versions.get(url) ?? 0) + 1);
      this.#sources.delete(url);
      this.#incomplete.delete(url);
    }
    return affected;
  }

  /** Files that a file that came into being may concern: those with an open import, and its siblings that a library imports. */
  concernedBy(url: string): string[] {
    const folder = url.slice(0, url.lastIndexOf("/") + 1);
    const siblings = [...this.#versions.keys()].filter(
      (one) =>
        one.startsWith(folder) && [...(this.#importers.get(one) ?? [])].some((importer) => !this.isAppFile(importer)),
    );
    return [...this.#incomplete, ...siblings];
  }
}

function setOf(map: Map<string, Set<string>>, key: string): Set<string> {
  let set = map.get(key);
  if (!set) {
    set = new Set();
    map.set(key, set);
  }
  return set;
}
