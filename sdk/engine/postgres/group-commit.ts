// Group commit: writes that are ready at the same time share one statement and one fsync. A batch is flushed at once
// while fewer than two are in flight, else the next one collects: no timer, so a lone write waits for nobody.

interface Waiting<T> {
  item: T;
  resolve(): void;
  reject(error: unknown): void;
}

const maxBatch = 500;
const maxInFlight = 2;

/** `write` gets a batch and says for every item in it, in order, undefined (written) or the error of that item. */
export class GroupCommit<T> {
  readonly #write: (items: readonly T[]) => Promise<readonly (Error | undefined)[]>;
  #waiting: Waiting<T>[] = [];
  #inFlight = 0;

  constructor(write: (items: readonly T[]) => Promise<readonly (Error | undefined)[]>) {
    this.#write = write;
  }

  /** Resolves when the item is committed. */
  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#inFlight < maxInFlight && this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, maxBatch);
      this.#waiting = this.#waiting.slice(maxBatch);
      this.#inFlight++;
      void this.#commit(batch).finally(() => {
        this.#inFlight--;
        this.#flush();
      });
    }
  }

  async #commit(batch: readonly Waiting<T>[]): Promise<void> {
    try {
      const errors = await this.#write(batch.map(({ item }) => item));
      for (const [index, waiting] of batch.entries()) {
        const error = errors[index];
        if (error) waiting.reject(error);
        else waiting.resolve();
      }
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    }
  }
}
