// Follows the output of every instance: woken by the file system, and by a slow poll where that says nothing.
import { type FSWatcher, watch } from "node:fs";
import { type Instance, type OutputStream, outputFile } from "./instance.ts";
import type { OutputFile } from "./output-file.ts";
import { OutputReader } from "./output-reader.ts";
import type { OutputLine } from "./runtime.ts";

const pollMs = 300;
const streams: OutputStream[] = ["stdout", "stderr"];

interface Followed {
  instance: Instance;
  readers: Record<OutputStream, OutputReader>;
  watcher: FSWatcher | undefined;
}

export interface OutputTailOptions {
  /** The instances there are now; asked at every poll and after `OutputTail.poke`. */
  instances: () => Iterable<Instance>;
  fileOf: (instance: Instance, stream: OutputStream) => OutputFile;
  /** An ended instance whose output is all acknowledged. */
  onFinished: (instance: Instance) => void;
}

export class OutputTail {
  readonly #options: OutputTailOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #finished = new Set<string>();
  #onLine: (line: OutputLine) => void | Promise<void> = () => {};

  constructor(options: OutputTailOptions) {
    this.#options = options;
  }

  /** Follows until aborted. */
  async run(onLine: (line: OutputLine) => void | Promise<void>, signal: AbortSignal): Promise<void> {
    this.#onLine = onLine;
    if (!signal.aborted) {
      this.poke();
      await new Promise<void>((resolve) => {
        const timer = setInterval(() => this.poke(), pollMs);
        signal.addEventListener(
          "abort",
          () => {
            clearInterval(timer);
            resolve();
          },
          { once: true },
        );
      });
    }
    for (const followed of this.#followed.values()) this.#drop(followed);
    this.#followed.clear();
  }

  /** Looks at every instance now. */
  poke(): void {
    for (const instance of this.#options.instances()) {
      if (this.#finished.has(instance.id)) continue;
      let followed = this.#followed.get(instance.id);
      if (!followed) {
        followed = this.#follow(instance);
        this.#followed.set(instance.id, followed);
      }
      // Asked before reading: what was written before the end is then certainly in the file.
      const ended = !instance.isRunning();
      for (const stream of streams) followed.readers[stream].pump(ended);
      if (ended && streams.every((stream) => followed.readers[stream].done)) {
        this.#finished.add(instance.id);
        this.#followed.delete(instance.id);
        this.#drop(followed);
        this.#options.onFinished(instance);
      }
    }
  }

  #follow(instance: Instance): Followed {
    const reader = (stream: OutputStream) =>
      new OutputReader(instance, stream, this.#options.fileOf(instance, stream), this.#onLine);
    const readers = { stdout: reader("stdout"), stderr: reader("stderr") };
    let watcher: FSWatcher | undefined;
    try {
      watcher = watch(instance.folder, (_event, name) => {
        for (const stream of streams) if (name === null || name === outputFile[stream]) readers[stream].pump(false);
      });
      watcher.on("error", () => watcher?.close());
    } catch {
      // Out of watches: the poll is enough.
    }
    return { instance, readers, watcher };
  }

  #drop(followed: Followed): void {
    followed.watcher?.close();
    for (const stream of streams) followed.readers[stream].stop();
  }
}
