// Hold: until when a run is surely this worker's. The epoch fences what a worker writes, and nothing fences what its steps
// do; so no attempt begins after the time at which another worker may have taken the run, until the lease is prolonged.
// A worker that is frozen between this look and its step is still late: no lease can prevent that.
export class Hold {
  /** By `performance.now()`, counted from before the database was asked: earlier than the lease's end there. */
  #until: number;
  #next: PromiseWithResolvers<void> | undefined;

  constructor(until: number) {
    this.#until = until;
  }

  /** Undefined while it lasts; else settles when it is prolonged, and rejects when it is over. */
  wait(): Promise<void> | undefined {
    return performance.now() < this.#until ? undefined : this.#wait();
  }

  async #wait(): Promise<void> {
    do {
      this.#next ??= Promise.withResolvers();
      await this.#next.promise;
    } while (performance.now() >= this.#until);
  }

  prolong(until: number): void {
    if (until <= this.#until) return;
    this.#until = until;
    this.#next?.resolve();
    this.#next = undefined;
  }

  end(reason: Error): void {
    this.#next?.reject(reason);
    this.#next = undefined;
  }
}
