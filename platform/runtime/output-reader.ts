// Reads one stream of one instance line by line, from where it was last acknowledged.
import { join } from "node:path";
import { readJson, writeDurably } from "./durable-file.ts";
import { type Instance, type OutputStream, outputFile } from "./instance.ts";
import type { OutputFile } from "./output-file.ts";
import type { OutputLine } from "./runtime.ts";

/** Longer lines are handed on in pieces of at most this many bytes, cut between characters. */
export const maxLineBytes = 16 * 1024;
const chunkBytes = 256 * 1024;
/** So many lines may wait for their acknowledgement. */
const maxPending = 2000;
/** Acknowledgements are on disk after at most this long. */
const persistMs = 25;
const retryMs = 500;

export class OutputReader {
  readonly #instance: Instance;
  readonly #stream: OutputStream;
  readonly #file: OutputFile;
  readonly #onLine: (line: OutputLine) => void | Promise<void>;
  readonly #statePath: string;
  #acknowledged: number;
  #position: number;
  #pending: { offset: number; done: boolean }[] = [];
  #retryAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #blocked = false;
  #partial = false;

  constructor(
    instance: Instance,
    stream: OutputStream,
    file: OutputFile,
    onLine: (line: OutputLine) => void | Promise<void>,
  ) {
    this.#instance = instance;
    this.#stream = stream;
    this.#file = file;
    this.#onLine = onLine;
    this.#statePath = join(instance.folder, `${outputFile[stream]}.read`);
    this.#acknowledged = readAcknowledged(instance, stream);
    this.#position = this.#acknowledged;
  }

  /** Hands on every whole line there is. `ended`: the app has ended, so that a last line without newline is whole too. */
  pump(ended: boolean): void {
    if (this.#stopped || performance.now() < this.#retryAt) return;
    this.#blocked = false;
    for (;;) {
      if (this.#pending.length >= maxPending) {
        this.#blocked = true;
        return;
      }
      const { from, bytes } = this.#file.read(this.#position, chunkBytes);
      this.#position = from;
      const before = this.#position;
      let start = 0;
      while (start < bytes.length && this.#pending.length < maxPending) {
        const newline = bytes.indexOf(10, start);
        const stop = newline === -1 ? bytes.length : newline;
        if (stop - start > maxLineBytes) {
          const cut = characterBoundary(bytes, start + maxLineBytes);
          if (!this.#deliver(bytes.subarray(start, cut), from + cut)) return;
          start = cut;
        } else if (newline !== -1) {
          if (!this.#deliver(bytes.subarray(start, newline), from + newline + 1)) return;
          start = newline + 1;
        } else if (ended && from + bytes.length >= this.#file.end()) {
          if (!this.#deliver(bytes.subarray(start), from + bytes.length)) return;
          start = bytes.length;
        } else break;
      }
      this.#partial = start < bytes.length;
      if (this.#position === before) return;
    }
  }

  /** True when everything there is has been acknowledged. */
  get done(): boolean {
    return this.#acknowledged >= this.#file.end() && this.#pending.length === 0 && !this.#partial;
  }

  stop(): void {
    this.#stopped = true;
    this.#persist();
  }

  /** False when the consumer failed: what was not acknowledged comes again later. */
  #deliver(bytes: Buffer, offset: number): boolean {
    const { id, deploymentId, project, environment, service } = this.#instance.record;
    const end = bytes.length > 0 && bytes[bytes.length - 1] === 13 ? bytes.length - 1 : bytes.length;
    const line: OutputLine = {
      ...{ deploymentId, instanceId: id, project, environment, service, stream: this.#stream, time: Date.now() },
      text: bytes.toString("utf8", 0, end),
      offset,
    };
    const entry = { offset, done: false };
    const pending = this.#pending;
    pending.push(entry);
    this.#position = offset;
    const acknowledge = () => {
      entry.done = true;
      // After a failure there is a new list, and the acknowledgements of the old one no longer count.
      if (pending !== this.#pending) return;
      while (pending[0]?.done) this.#acknowledged = pending.shift()!.offset;
      this.#timer ??= setTimeout(() => this.#persist(), persistMs);
      if (this.#blocked && pending.length < maxPending / 2) this.pump(false);
    };
    const fail = () => {
      if (pending !== this.#pending) return;
      this.#pending = [];
      this.#position = this.#acknowledged;
      this.#retryAt = performance.now() + retryMs;
    };
    try {
      const result = this.#onLine(line);
      if (result) result.then(acknowledge, fail);
      else acknowledge();
      return true;
    } catch {
      fail();
      return false;
    }
  }

  #persist(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (readAcknowledged(this.#instance, this.#stream) >= this.#acknowledged) return;
    writeDurably(this.#statePath, JSON.stringify({ acknowledged: this.#acknowledged }));
  }
}

/** Position up to which a consumer has acknowledged the stream. */
export function readAcknowledged(instance: Instance, stream: OutputStream): number {
  return readJson<{ acknowledged: number }>(join(instance.folder, `${outputFile[stream]}.read`))?.acknowledged ?? 0;
}

/** The last position at or before `at` that is not inside a UTF-8 character. */
function characterBoundary(bytes: Buffer, at: number): number {
  for (let back = 0; back < 4; back++) if ((bytes[at - back]! & 0xc0) !== 0x80) return at - back;
  return at;
}
