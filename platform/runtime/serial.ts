// Runs tasks of the same key one after another.

export class Serial {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `task` when every earlier one of the key has settled. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(task, task);
    const tail = result.catch(() => {});
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }
}
