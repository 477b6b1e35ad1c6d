// A log file that an app appends to, addressed by positions that keep counting when the file is rotated.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { readJson, writeDurably } from "./durable-file.ts";

interface Rotation {
  /** Position of the first byte of the file. */
  base: number;
  /** How many bytes before `base` are kept in `<file>.1`. */
  previous: number;
  /** Set while a truncation is under way: what `base` is to be after it. */
  next?: number;
}

/**
 * Rotation is by copy and truncate: an app cannot be told to reopen its stdout. Lines written between the last copy and the
 * truncation (microseconds) are lost; that is the price, and why the limit is large.
 */
export class OutputFile {
  readonly path: string;
  #rotation: Rotation;
  #rotating = false;

  constructor(path: string) {
    this.path = path;
    this.#rotation = readJson<Rotation>(this.#rotationPath) ?? { base: 0, previous: 0 };
    const { base, next } = this.#rotation;
    if (next !== undefined) {
      // A kill came in the middle: the file says whether it had been truncated.
      const truncated = this.#size() < next - base;
      this.#setRotation(truncated ? { base: next, previous: next - base } : { base, previous: 0 });
    }
  }

  get #rotationPath(): string {
    return `${this.path}.rotation`;
  }

  #setRotation(rotation: Rotation): void {
    this.#rotation = rotation;
    writeDurably(this.#rotationPath, JSON.stringify(rotation));
  }

  #size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Position after the last byte. */
  end(): number {
    return this.#rotation.base + this.#size();
  }

  /** Up to `length` bytes from a position; `from` is later than asked when what was there has been rotated away. */
  read(position: number, length: number): { from: number; bytes: Buffer } {
    const { base, previous } = this.#rotation;
    if (position > base + this.#size()) {
      // Somebody else truncated the file: what is in it now comes after what was read.
      this.#setRotation({ base: position, previous: 0 });
      return { from: position, bytes: readAt(this.path, 0, length) };
    }
    const from = Math.max(position, base - previous);
    if (from >= base) return { from, bytes: readAt(this.path, from - base, length) };
    const old = readAt(`${this.path}.1`, from - (base - previous), Math.min(length, base - from));
    if (old.length < base - from) return { from, bytes: old };
    return { from, bytes: Buffer.concat([old, readAt(this.path, 0, length - old.length)]) };
  }

  /** Rotates when the file is larger than `limit` bytes. */
  async rotate(limit: number): Promise<void> {
    if (this.#rotating || this.#size() <= limit) return;
    this.#rotating = true;
    try {
      const temporary = `${this.path}.1.tmp`;
      await copyFile(this.path, temporary, constants.COPYFILE_FICLONE);
      // From here on without a pause, so that no reader sees half of it and the app writes as little as possible meanwhile.
      const { base } = this.#rotation;
      const copy = openSync(temporary, "a");
      let length = fstatSync(copy).size;
      const catchUp = () => {
        for (;;) {
          const late = readAt(this.path, length, 1 << 20);
          if (late.length === 0) return;
          writeSync(copy, late);
          length += late.length;
        }
      };
      catchUp();
      renameSync(temporary, `${this.path}.1`);
      this.#setRotation({ base, previous: 0, next: base + length });
      catchUp();
      truncateSync(this.path, 0);
      closeSync(copy);
      this.#setRotation({ base: base + length, previous: length });
    } finally {
      this.#rotating = false;
    }
  }
}

function readAt(path: string, position: number, length: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
  try {
    const available = Math.min(length, Math.max(0, fstatSync(fd).size - position));
    const buffer = Buffer.allocUnsafe(available);
    let read = 0;
    while (read < available) {
      const count = readSync(fd, buffer, read, available - read, position + read);
      if (count === 0) break;
      read += count;
    }
    return buffer.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}
