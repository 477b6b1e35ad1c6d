// BullMQ as the source of a queue trigger: a job is done when the run of its message is durably begun.
//
// Invariants:
// 1. A job that comes again (its worker died, its lock ran out) is the same run: the run's id is made of the job's id
//    and the time it was added. The id alone would not do: BullMQ counts from 1 again when a queue was emptied, and the
//    first message after that would count as one of long ago.
// 2. A message that no contract fits fails for good, with the reason, and holds nobody up.
// 3. What passes by itself (a database that is away, a full queue) costs a job none of its attempts: it waits.
import type { Job } from "bullmq";
import { TsdevError } from "../errors.ts";
import { isPassing } from "./begin-run.ts";
import type { MessageSource } from "./trigger.ts";

export interface BullmqOptions {
  /** The queue's name in BullMQ. */
  queue: string;
  /** As BullMQ takes it, such as `{ url: "redis://localhost:6379" }`; a function is asked when the trigger starts. */
  connection: object | (() => object);
  /** How many jobs are taken at once by one instance. Default 10. */
  concurrency?: number;
  /** BullMQ's prefix of keys. Default: BullMQ's own. */
  prefix?: string;
  /** How long a job stays with a worker that died, milliseconds. Default 30,000. */
  lockMs?: number;
}

/** The first wait after what passes by itself, milliseconds; it doubles up to a minute. */
const firstWaitMs = 1_000;
const longestWaitMs = 60_000;

/**
 * Needs the package `bullmq` (6 or later) in the app, and `ioredis` for Redis.
 *
 * @example
 * queue({ …, from: bullmq({ queue: "thumbnails", connection: () => ({ url: process.env.REDIS_URL }) }) })
 */
export function bullmq(options: BullmqOptions): MessageSource {
  return {
    async open(deliver, { log, trigger }) {
      const { DelayedError, UnrecoverableError, Worker } = await load(trigger);
      const { queue, connection, concurrency = 10, prefix, lockMs = 30_000 } = options;
      let lastFailure = "";

      async function take(job: Job, token: string | undefined): Promise<void> {
        try {
          await deliver(`${job.id}@${job.timestamp}`, job.data);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          if (!isPassing(error)) throw new UnrecoverableError(reason);
          const waitMs = Math.min(firstWaitMs * 2 ** Math.min(job.attemptsStarted - 1, 10), longestWaitMs);
          log.warn("a message waits", { trigger, queue, job: job.id, waitMs, reason });
          await job.moveToDelayed(Date.now() + waitMs, token);
          throw new DelayedError();
        }
      }

      const worker = new Worker(queue, take, {
        connection: typeof connection === "function" ? connection() : connection,
        concurrency,
        lockDuration: lockMs,
        stalledInterval: lockMs,
        // A job is never failed for having been interrupted.
        maxStalledCount: 2 ** 31 - 1,
        ...(prefix === undefined ? {} : { prefix }),
      });
      worker.on("failed", (job, error) => {
        log.error("a message was refused", { trigger, queue, job: job?.id, reason: error.message });
      });
      worker.on("error", (error) => {
        // A server that is away is said once, not with each try.
        if (error.message !== lastFailure) log.warn("the queue's connection failed", { trigger, queue, error });
        lastFailure = error.message;
      });
      worker.on("ready", () => {
        lastFailure = "";
      });
      return () => worker.close();
    },
  };
}

async function load(trigger: string): Promise<typeof import("bullmq")> {
  try {
    return await import("bullmq");
  } catch (cause) {
    throw new TsdevError("invalid_config", {
      message: `queue trigger "${trigger}" reads BullMQ, and the package bullmq cannot be loaded`,
      fix: "npm install bullmq ioredis",
      cause,
    });
  }
}
