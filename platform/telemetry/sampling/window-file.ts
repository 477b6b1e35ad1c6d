// WindowFile: the requests of a second as they lie on disk until it is decided which of their traces are kept.
import { type FileHandle, open } from "node:fs/promises";
import type { Tenant } from "../ingest/tables.ts";
import type { SamplingPolicy } from "./decision.ts";
import type { TracePart } from "./trace-parts.ts";

/** A request: its rows, which of them is of which trace, and by which settings they are decided. */
export interface SampledRequest {
  /** The digest of the body. */
  digest: string;
  tenant: Tenant;
  policy: SamplingPolicy;
  parts: readonly TracePart[];
  /** Of each row: where it ends, and the index of its part. */
  ends: readonly number[];
  partOf: readonly number[];
  rows: Buffer;
}

/** Of a request that is written: all but its rows, and where in the file they are. */
export interface Frame extends Omit<SampledRequest, "rows"> {
  from: number;
  length: number;
}

/** A frame begins with the lengths of its head and of its rows, in 4 bytes each. */
const lengthsBytes = 8;

interface Pending {
  buffers: Buffer[];
  bytes: number;
  written: (from: number) => void;
  failed: (error: unknown) => void;
}

/** Frames are written one after the other, those that wait together: a process that ends leaves at most the last one torn. */
export class WindowFile {
  readonly #file: FileHandle;
  readonly #sync: boolean;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;
  #failed = false;
  /** Up to here all frames are whole. */
  #length = 0;

  private constructor(file: FileHandle, sync: boolean) {
    this.#file = file;
    this.#sync = sync;
  }

  static async create(path: string, sync: boolean): Promise<WindowFile> {
    return new WindowFile(await open(path, "wx", 0o600), sync);
  }

  /** A write went wrong: nothing more may stand behind it. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Resolves when the request would outlive this process. */
  async append({ rows, ...head }: SampledRequest): Promise<Frame> {
    const text = Buffer.from(JSON.stringify(head));
    const lengths = Buffer.alloc(lengthsBytes);
    lengths.writeUInt32LE(text.length, 0);
    lengths.writeUInt32LE(rows.length, 4);
    const buffers = [lengths, text, rows];
    const bytes = lengthsBytes + text.length + rows.length;
    const start = await new Promise<number>((written, failed) => {
      this.#pending.push({ buffers, bytes, written, failed });
      this.#writing ??= this.#write();
    });
    return { ...head, from: start + lengthsBytes + text.length, length: rows.length };
  }

  /** After all that was appended. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        if (this.#failed) throw new Error("a write before this one went wrong");
        await this.#file.writeFile(batch.flatMap(({ buffers }) => buffers));
        if (this.#sync) await this.#file.datasync();
      } catch (error) {
        this.#failed = true;
        // What is torn would only be passed over; the room is needed.
        await this.#file.truncate(this.#length).catch(() => {});
        for (const { failed } of batch) failed(error);
        continue;
      }
      for (const { bytes, written } of batch) {
        written(this.#length);
        this.#length += bytes;
      }
    }
    this.#writing = undefined;
  }
}

/** The whole frames of a file that a process before has left; one that is torn at its end was never acknowledged. */
export function readFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + lengthsBytes <= bytes.length; ) {
    const from = at + lengthsBytes + bytes.readUInt32LE(at);
    const length = bytes.readUInt32LE(at + 4);
    if (from + length > bytes.length) break;
    const head = JSON.parse(bytes.toString("utf8", at + lengthsBytes, from)) as Omit<Frame, "from" | "length">;
    frames.push({ ...head, from, length });
    at = from + length;
  }
  return frames;
}
