// Build log: every line of a build in a file, read live while it grows and kept afterwards, secrets replaced.

import { watch } from "node:fs";
import { appendFile, mkdir, open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BuildLogLine } from "../deployments/deployment.ts";
import type { Redactor } from "../secrets/redactor.ts";

const slowPollMs = 500;

export class BuildLogs {
  readonly #directory: string;
  readonly #redactor: Redactor;

  constructor(directory: string, redactor: Redactor) {
    this.#directory = directory;
    this.#redactor = redactor;
  }

  /** Appends a line; a line of one build is never mixed into another's. */
  async write(deploymentId: string, stream: BuildLogLine["stream"], text: string): Promise<void> {
    const line: BuildLogLine = { time: new Date().toISOString(), stream, text: this.#redactor.redact(text) };
    await mkdir(this.#directory, { recursive: true });
    await appendFile(this.#path(deploymentId), `${JSON.stringify(line)}\n`);
  }

  /** The last `count` lines written so far. */
  async tail(deploymentId: string, count: number): Promise<BuildLogLine[]> {
    const { lines } = await readFrom(this.#path(deploymentId), 0);
    return lines.slice(-count);
  }

  /** Every line from the first on; goes on until `finished` says so and all is read, or the signal aborts. */
  async *follow(
    deploymentId: string,
    finished: () => Promise<boolean>,
    signal: AbortSignal,
  ): AsyncGenerator<BuildLogLine> {
    const path = this.#path(deploymentId);
    await mkdir(dirname(path), { recursive: true });
    let offset = 0;
    let wake = () => {};
    const watcher = watch(dirname(path), () => wake());
    try {
      while (!signal.aborted) {
        const done = await finished();
        const read = await readFrom(path, offset);
        offset = read.offset;
        yield* read.lines;
        if (done && read.lines.length === 0) return;
        if (read.lines.length > 0) continue;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, slowPollMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
          signal.addEventListener("abort", wake, { once: true });
        });
      }
    } finally {
      watcher.close();
    }
  }

  #path(deploymentId: string): string {
    return join(this.#directory, `${deploymentId}.ndjson`);
  }
}

/** Whole lines from a byte offset on; a half-written last line waits for its end. */
async function readFrom(path: string, offset: number): Promise<{ lines: BuildLogLine[]; offset: number }> {
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  if (size <= offset) return { lines: [], offset };
  const file = await open(path, "r");
  try {
    const buffer = Buffer.alloc(size - offset);
    await file.read(buffer, 0, buffer.length, offset);
    const end = buffer.lastIndexOf(0x0a) + 1;
    const lines = buffer
      .subarray(0, end)
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as BuildLogLine);
    return { lines, offset: offset + end };
  } finally {
    await file.close();
  }
}
