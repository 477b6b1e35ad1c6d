// The queue on BullMQ, in Postgres or in Redis.
//
// Invariants:
// 1. An id is once in a queue: it is stored until its handler has returned or failed for the last time, then forgotten.
// 2. A job of a process that died is taken over once its lock has expired, however often that happens.
// 3. In one process a job never runs twice at once, even when its lock expired because the process stood still.
import {
  type BackendFactory,
  type Job as BullJob,
  Queue as BullQueue,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  UnrecoverableError,
  WaitingError,
  Worker,
} from "bullmq";
import { TsdevError } from "../../sdk/errors.ts";
import type { Job, JobHandler, Queue } from "./queue.ts";

/** How long a job stays with a process that died, in milliseconds: the lock's rest and two looks for stalled jobs. */
const lockDuration = 3_000;
const stalledInterval = 750;
/** A failing handler runs this often, with half a second, 1, 2 and 4 seconds between. */
const attempts = 5;
const backoff = { type: "exponential", delay: 500 } as const;
/** How long `close` waits for handlers that were told to stop; their jobs go to the next start. */
const closeLimitMs = 10_000;
/** A connection that fails again and again in the same way is told of once. */
const sameFailureMs = 10_000;

/** What a failed job leaves: nothing waits for it any more. */
export type QueueLog = (event: { queue: string; job: string | null; message: string; error: unknown }) => void;

export interface QueueOptions {
  /** Gets failures of jobs and of connections; default is a line on stderr. */
  log?: QueueLog;
}

// BullMQ types a queue by its backend; here either will do.
// biome-ignore lint/suspicious/noExplicitAny: the two backends share no type of connection options
type Connection = any;
type AnyQueue = BullQueue<Stored, void, string, Stored, void, string, IQueueBackend, Connection>;
type AnyWorker = Worker<Stored, void, string, IQueueBackend, Connection>;

interface Stored {
  id: string;
  data: object;
}

/** Opens the queue and makes its tables where they are missing. Throws `unavailable` when the server cannot be reached. */
export async function openQueue(
  where: { postgresUrl: string } | { redisUrl: string },
  options: QueueOptions = {},
): Promise<Queue> {
  const queue = new BullMqQueue(where, options.log ?? logToStderr);
  await queue.probe();
  return queue;
}

class BullMqQueue implements Queue {
  readonly #where: { postgresUrl: string } | { redisUrl: string };
  readonly #log: QueueLog;
  readonly #queues = new Map<string, AnyQueue>();
  readonly #workers: AnyWorker[] = [];
  readonly #stopping = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  #lastFailure = { text: "", at: 0 };

  constructor(where: { postgresUrl: string } | { redisUrl: string }, log: QueueLog) {
    this.#where = where;
    this.#log = log;
  }

  /** Connects once, so that a wrong address is said at the start. */
  async probe(): Promise<void> {
    try {
      await this.#queue("tsdev-probe").waitUntilReady();
    } catch (cause) {
      await this.close();
      throw new TsdevError("unavailable", {
        message: `the queue's server cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
        fix: "check that the server runs and the address in DATABASE_URL or REDIS_URL",
        cause,
      });
    }
  }

  async add<T extends object>(queue: string, job: Job<T>): Promise<void> {
    const stored: Stored = { id: job.id, data: job.data };
    await this.#queue(queue).add(queue, stored, {
      jobId: bullId(job.id),
      attempts,
      backoff,
      removeOnComplete: true,
      removeOnFail: true,
    });
  }

  async work<T extends object>(
    queue: string,
    handler: JobHandler<T>,
    options: { concurrency?: number } = {},
  ): Promise<void> {
    const worker: AnyWorker = new Worker(
      queue,
      (job: BullJob<Stored>, token?: string) => this.#run(queue, job, token, handler),
      {
        ...this.#connection(),
        concurrency: options.concurrency ?? 1,
        lockDuration,
        stalledInterval,
        // An integer column: a job is never failed for having been interrupted.
        maxStalledCount: 2 ** 31 - 1,
        runRetryDelay: 1_000,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      },
      this.#backend(),
    );
    worker.on("error", (error) => this.#report(queue, null, "the queue's connection failed", error));
    worker.on("failed", (job, error) => {
      if (job !== undefined && job.attemptsMade < attempts && !(error instanceof UnrecoverableError)) return;
      this.#report(queue, job?.data.id ?? null, "a job failed for the last time", error);
    });
    this.#workers.push(worker);
    await worker.waitUntilReady();
  }

  async depth(queue: string): Promise<number> {
    const counts = await this.#queue(queue).getJobCounts("active", "waiting", "delayed", "prioritized");
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  async has(queue: string, id: string): Promise<boolean> {
    return (await this.#queue(queue).getJob(bullId(id))) !== undefined;
  }

  async close(): Promise<void> {
    // No worker takes another job; those at work hear the signal.
    await Promise.all(this.#workers.map((worker) => worker.pause(true)));
    this.#stopping.abort(new TsdevError("canceled", { message: "the platform stops", fix: "start it again" }));
    const limit = Promise.withResolvers<"late">();
    const timer = setTimeout(() => limit.resolve("late"), closeLimitMs);
    const outcome = await Promise.race([Promise.allSettled(this.#running.values()), limit.promise]);
    clearTimeout(timer);
    await Promise.allSettled(this.#workers.map((worker) => worker.close(outcome === "late")));
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()));
  }

  async #run<T extends object>(
    queue: string,
    job: BullJob<Stored>,
    token: string | undefined,
    handler: JobHandler<T>,
  ): Promise<void> {
    const key = JSON.stringify([queue, job.data.id]);
    let running = this.#running.get(key);
    if (running === undefined) {
      running = Promise.resolve()
        .then(() => handler({ id: job.data.id, data: job.data.data as T }, this.#stopping.signal))
        .finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    try {
      await running;
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error;
      // Not the job's fault: it waits for the next start, with all its attempts.
      await job.moveToWait(token);
      throw new WaitingError();
    }
  }

  #queue(name: string): AnyQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new BullQueue(name, this.#connection(), this.#backend());
      queue.on("error", (error) => this.#report(name, null, "the queue's connection failed", error));
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #report(queue: string, job: string | null, message: string, error: unknown): void {
    // Connections that end while we close are no news.
    if (job === null && this.#stopping.signal.aborted) return;
    if (job === null) {
      const text = `${message}: ${error instanceof Error ? error.message : String(error)}`;
      const repeated = text === this.#lastFailure.text && performance.now() < this.#lastFailure.at + sameFailureMs;
      this.#lastFailure = { text, at: performance.now() };
      if (repeated) return;
    }
    this.#log({ queue, job, message, error });
  }

  #connection(): { connection: Connection; prefix?: string } {
    if ("redisUrl" in this.#where) return { connection: { url: this.#where.redisUrl }, prefix: "tsdev" };
    return { connection: { connectionString: this.#where.postgresUrl, migrate: true, max: 4, keepAlive: true } };
  }

  #backend(): BackendFactory<IQueueBackend, Connection> {
    return "redisUrl" in this.#where ? createRedisBackend : createPostgresBackend;
  }
}

/** BullMQ gives `:` in an id a meaning and refuses an id that is a number. */
function bullId(id: string): string {
  return `job-${encodeURIComponent(id)}`;
}

const logToStderr: QueueLog = ({ queue, job, message, error }) => {
  const about = job === null ? queue : `${queue} ${job}`;
  // where a connection broke says nothing, where a handler did says everything
  const shown = error instanceof Error ? ((job && error.stack) ?? error.message) : String(error);
  console.error(`queue ${about}: ${message}: ${shown}`);
};
