// Load error: why a module could not be loaded, and where, from what Node throws.
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

export interface LoadError {
  /** `src/app.ts:12`, relative to the working folder. Null when nothing names a file of the app. */
  place: string | null;
  message: string;
  /** The error as Node shows it, without the frames of Node and of libraries. */
  detail: string;
}

/** Node puts the place of a syntax error on the first line; others have it in their first frame. */
const head = /^((?:file:\/\/)?\/[^\n]*?):(\d+)$/m;
const frame = /\(?(file:\/\/\/[^\s()]+?):(\d+):\d+\)?$/gm;
const missing = /imported from (\/[^\n]+)$/m;

export function loadErrorOf(error: unknown, isApp: (path: string) => boolean): LoadError {
  if (!(error instanceof Error)) return { place: null, message: String(error), detail: String(error) };
  const stack = error.stack ?? error.message;
  const message = `${error.name}: ${error.message.split("\n")[0]}`;
  return { place: placeOf(stack, isApp), message, detail: ownLines(stack, isApp) };
}

function placeOf(stack: string, isApp: (path: string) => boolean): string | null {
  const first = head.exec(stack);
  // Only when it stands before the message; in a frame it would have a column.
  if (first?.index === 0) return `${shown(pathOf(first[1] ?? ""))}:${first[2]}`;
  for (const [, file = "", line] of stack.matchAll(frame)) {
    const path = pathOf(file);
    if (isApp(path)) return `${shown(path)}:${line}`;
  }
  const importer = missing.exec(stack)?.[1];
  return importer === undefined ? null : shown(pathOf(importer));
}

function ownLines(stack: string, isApp: (path: string) => boolean): string {
  const lines = stack.replaceAll(/\?tsdev=\d+/g, "").split("\n");
  return lines
    .filter((line) => {
      if (!/^\s+at /.test(line)) return true;
      const file = /(file:\/\/\/[^\s()]+?):\d+:\d+/.exec(line)?.[1];
      return file !== undefined && isApp(pathOf(file));
    })
    .map((line) => line.replace("import.meta.main=true;", ""))
    .join("\n")
    .trim();
}

function pathOf(file: string): string {
  try {
    return file.startsWith("file:") ? fileURLToPath(file) : file;
  } catch {
    return file;
  }
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}
