// Source frames: raw frames turned into places in the author's source, through source maps, off the hot path.
import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { type FileStanding, frameLimit, type RawFrame } from "./call-site.ts";

/** A place in the author's source; `file` is relative to the app's root, with forward slashes. */
export interface SourceFrame {
  file: string;
  line: number;
  /** Null at the top level of a module and in anonymous functions. */
  function: string | null;
  /** `file:line:function` as a JSON string; `<anonymous>` where there is no name. */
  json: string;
}

// A map larger than this costs more to parse than the app can spare beside its work.
const fileLimit = 64 * 1024 * 1024;

interface KnownFile {
  path: string | undefined;
  standing: FileStanding;
  map: TraceMap | undefined;
  /** By line and column; null where a place is not the app's. */
  places: Map<number, SourceFrame | null>;
}

// Columns from here on share a key with the next line's: only a minified file without a map has so many.
const columnsOfLine = 2 ** 20;

/** Knows which files are the app's, and where their lines come from. */
export class SourceFrames {
  readonly #root: string;
  readonly #sdkFolder: string;
  readonly #files = new Map<string, KnownFile>();

  constructor(root: string, sdkFolder: string) {
    this.#root = root;
    this.#sdkFolder = sdkFolder.endsWith(sep) ? sdkFolder : sdkFolder + sep;
  }

  /** Cheap; called for every frame of every span. */
  standingOf = (file: string): FileStanding => this.#known(file).standing;

  /** The app's frames among these, mapped to their sources; at most `frameLimit`. */
  resolve(frames: readonly RawFrame[]): SourceFrame[] {
    const result: SourceFrame[] = [];
    for (const frame of frames) {
      const known = this.#known(frame.file);
      if (known.standing === "library") continue;
      const key = frame.line * columnsOfLine + frame.column;
      let source = known.places.get(key);
      if (source === undefined) {
        source = this.#place(known, frame) ?? null;
        known.places.set(key, source);
      }
      if (source) result.push(source);
      if (result.length === frameLimit) break;
    }
    return result;
  }

  #place(known: KnownFile, frame: RawFrame): SourceFrame | undefined {
    if (known.standing === "unknown") this.#lookForMap(known);
    return known.map ? this.#mapped(known, known.map, frame) : this.#plain(known, frame);
  }

  #known(file: string): KnownFile {
    let known = this.#files.get(file);
    if (!known) {
      const path = pathOf(file);
      const standing = path !== undefined && this.#isApp(path) ? "unknown" : "library";
      known = { path, standing, map: undefined, places: new Map() };
      this.#files.set(file, known);
    }
    return known;
  }

  // An app may itself stand below a node_modules folder, so inside the root only the rest of the path counts.
  #isApp(path: string): boolean {
    if (path.startsWith(this.#sdkFolder)) return false;
    const inside = path.startsWith(this.#root + sep) ? path.slice(this.#root.length) : path;
    return !inside.includes(`${sep}node_modules${sep}`);
  }

  #lookForMap(known: KnownFile): void {
    known.standing = "app";
    if (known.path === undefined) return;
    try {
      known.map = readMap(known.path);
    } catch {
      // A map that cannot be read leaves the generated lines, which are better than none.
    }
    if (known.map) known.standing = "mapped";
  }

  #plain(known: KnownFile, frame: RawFrame): SourceFrame | undefined {
    if (known.standing === "library" || known.path === undefined) return undefined;
    return sourceFrame(this.#shown(known.path), frame.line, frame.name);
  }

  #mapped(known: KnownFile, map: TraceMap, frame: RawFrame): SourceFrame | undefined {
    const position = originalPositionFor(map, { line: frame.line, column: Math.max(0, frame.column - 1) });
    // What the bundler itself added has no source.
    if (position.source === null || known.path === undefined) return undefined;
    const path = pathOf(position.source) ?? resolve(dirname(known.path), withoutScheme(position.source));
    return this.#isApp(path) ? sourceFrame(this.#shown(path), position.line, frame.name) : undefined;
  }

  #shown(path: string): string {
    return relative(this.#root, path).replaceAll("\\", "/");
  }
}

function sourceFrame(file: string, line: number, name: string | null): SourceFrame {
  return { file, line, function: name, json: JSON.stringify(`${file}:${line}:${name ?? "<anonymous>"}`) };
}

function pathOf(file: string): string | undefined {
  if (file.startsWith("file://")) {
    try {
      return fileURLToPath(file);
    } catch {
      return undefined;
    }
  }
  return isAbsolute(file) ? file : undefined;
}

// `webpack://name/./src/a.ts` names a path below the folder that was bundled.
function withoutScheme(source: string): string {
  return source.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*\/?/i, "");
}

function readMap(path: string): TraceMap | undefined {
  if (statSync(path).size > fileLimit) return undefined;
  const code = readFileSync(path, "utf8");
  const at = code.lastIndexOf("//# sourceMappingURL=");
  if (at < 0) return fileMap(`${path}.map`);
  const url = /^\S*/.exec(code.slice(at + "//# sourceMappingURL=".length))?.[0] ?? "";
  if (url.startsWith("data:")) {
    const comma = url.indexOf(",");
    const data = url.slice(comma + 1);
    const text = url.slice(0, comma).includes(";base64")
      ? Buffer.from(data, "base64").toString("utf8")
      : decodeURIComponent(data);
    return new TraceMap(text, pathToFileURL(path).href);
  }
  return fileMap(resolve(dirname(path), decodeURIComponent(url)));
}

function fileMap(path: string): TraceMap | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined || size > fileLimit) return undefined;
  return new TraceMap(readFileSync(path, "utf8"), pathToFileURL(path).href);
}
