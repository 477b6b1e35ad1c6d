// Build log: every line of a build in a file, read live while it grows and kept afterwards, secrets replaced.
import { EventEmitter } from "node:events";
import { appendFile, mkdir, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { BuildLogLine } from "../deployments/deployment.ts";
import type { Redactor } from "../secrets/redactor.ts";

/** Whether a deployment is settled is asked this often, beside every new line. */
const pollMs = 500;
const chunkBytes = 256 * 1024;
/** What a build prints beyond this is left out. */
const mostBytes = 16 * 1024 * 1024;

/** Written and followed by one control plane at a time: who follows hears of new lines from the writer. */
export class BuildLogs {
  readonly #directory: string;
  readonly #redactor: Redactor;
  readonly #mostBytes: number;
  readonly #written = new EventEmitter().setMaxListeners(0);
  /** Size of each log written to since the start. */
  readonly #sizes = new Map<string, number>();

  constructor(directory: string, redactor: Redactor, limit = mostBytes) {
    this.#directory = directory;
    this.#redactor = redactor;
    this.#mostBytes = limit;
  }

  /** Appends a line; a line of one build is never mixed into another's. What the platform says is kept beyond the limit. */
  async write(deploymentId: string, stream: BuildLogLine["stream"], text: string): Promise<void> {
    const path = this.#path(deploymentId);
    const size = this.#sizes.get(deploymentId) ?? (await this.#begin(path));
    if (size > this.#mostBytes && stream !== "system") return;
    const line: BuildLogLine = { time: new Date().toISOString(), stream, text: this.#redactor.redact(text) };
    let added = `${JSON.stringify(line)}\n`;
    if (stream !== "system" && size + Buffer.byteLength(added) > this.#mostBytes) {
      added = `${JSON.stringify({ ...line, stream: "system", text: "the log is full; what follows is left out" })}\n`;
      this.#sizes.set(deploymentId, this.#mostBytes + 1);
    } else this.#sizes.set(deploymentId, size + Buffer.byteLength(added));
    await appendFile(path, added);
    this.#written.emit(deploymentId);
  }

  /** The last `count` lines written so far. */
  async tail(deploymentId: string, count: number): Promise<BuildLogLine[]> {
    const path = this.#path(deploymentId);
    const size = await sizeOf(path);
    const last: BuildLogLine[] = [];
    // the last chunks are enough for any number of lines that is shown
    for (let offset = Math.max(0, size - 4 * chunkBytes); ; ) {
      const read = await readFrom(path, offset);
      if (read.offset === offset) return last.slice(-count);
      offset = read.offset;
      last.push(...read.lines);
    }
  }

  /** Every line from the first on; goes on until `finished` says so and all is read, or the signal aborts. */
  async *follow(
    deploymentId: string,
    finished: () => Promise<boolean>,
    signal: AbortSignal,
  ): AsyncGenerator<BuildLogLine> {
    const path = this.#path(deploymentId);
    let wake = () => {};
    let news = false;
    const hear = () => {
      news = true;
      wake();
    };
    this.#written.on(deploymentId, hear);
    signal.addEventListener("abort", hear);
    try {
      for (let offset = 0; !signal.aborted; ) {
        const done = await finished();
        news = false;
        for (;;) {
          const read = await readFrom(path, offset);
          if (read.offset === offset || signal.aborted) break;
          offset = read.offset;
          yield* read.lines;
        }
        if (done) return;
        if (news || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, pollMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      this.#written.off(deploymentId, hear);
      signal.removeEventListener("abort", hear);
    }
  }

  /** A line that a kill cut in half is ended, so that the next one stands by itself. */
  async #begin(path: string): Promise<number> {
    await mkdir(this.#directory, { recursive: true });
    const size = await sizeOf(path);
    if (size > 0) await appendFile(path, "\n");
    return size;
  }

  #path(deploymentId: string): string {
    return join(this.#directory, `${deploymentId}.ndjson`);
  }
}

const sizeOf = async (path: string) => (await stat(path).catch(() => null))?.size ?? 0;

/** Whole lines of one chunk from a byte offset on; a half-written last line waits for its end. */
async function readFrom(path: string, offset: number): Promise<{ lines: BuildLogLine[]; offset: number }> {
  const size = await sizeOf(path);
  if (size <= offset) return { lines: [], offset };
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.min(chunkBytes, size - offset)),
      0,
      Math.min(chunkBytes, size - offset),
      offset,
    );
    const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
    const lines = buffer.subarray(0, end).toString("utf8").split("\n").flatMap(parsed);
    return { lines, offset: offset + end };
  } finally {
    await file.close();
  }
}

/** A line that was cut off by a kill is left out. */
function parsed(text: string): BuildLogLine[] {
  if (text === "") return [];
  try {
    const line = BuildLogLine.safeParse(JSON.parse(text));
    return line.success ? [line.data] : [];
  } catch {
    return [];
  }
}
