// The queue port: named queues of jobs that survive restarts; a job is a wake-up, the truth is in the store.

/** One job; `id` deduplicates: adding an id that is waiting or running changes nothing. */
export interface Job<T> {
  id: string;
  data: T;
}

/** Does a job. It may run again after a crash, so every step of it must be safe to repeat. */
export type JobHandler<T> = (job: Job<T>, signal: AbortSignal) => Promise<void>;

export interface Queue {
  /** Adds a job; resolves when it is stored. */
  add<T extends object>(queue: string, job: Job<T>): Promise<void>;
  /** Runs `handler` for jobs of a queue, `concurrency` at a time (default 1). */
  work<T extends object>(queue: string, handler: JobHandler<T>, options?: { concurrency?: number }): Promise<void>;
  /** How many jobs of a queue wait or run. */
  depth(queue: string): Promise<number>;
  /** True while the job waits or runs. */
  has(queue: string, id: string): Promise<boolean>;
  /** Stops the workers (jobs in progress get an aborted signal) and closes the connections. */
  close(): Promise<void>;
}
