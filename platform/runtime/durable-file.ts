// Small state files that a kill never leaves half written: temporary file, fsync-free rename, private mode.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

let counter = 0;

/**
 * Writes a file so that a reader sees the old or the new content, never a part. Mode 0600: state holds environment values.
 * It survives the death of the process; it is not fsynced, because processes do not survive a power cut either.
 */
export function writeDurably(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.${counter++}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600 });
  }
  renameSync(temporary, path);
}

/** The JSON in a file, or undefined when there is none or it cannot be parsed. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
