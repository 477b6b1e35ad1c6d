// Starts what fires by itself: the schedulers of crons and the readers of other queues.
import type { Engine } from "../engine/engine.ts";
import type { Log } from "../log.ts";
import type { Registry } from "../registry.ts";
import { type SchedulerParts, scheduleCrons } from "./cron-scheduler.ts";
import { deliverMessage } from "./enqueue.ts";
import type { CronTrigger } from "./trigger.ts";

export interface StartTriggersParts {
  log: Log;
  /** Aborting it is as good as calling what `startTriggers` returned, without the wait. */
  signal?: AbortSignal;
  /** How the scheduler waits, for tests that do not. Default: a timer. */
  sleep?: SchedulerParts["sleep"];
}

/**
 * For `engine.work(registry)`, which calls it once its tables are there: fires the registry's crons and reads its queues
 * that have a `from`, until what it returns is called (before the engine's pool closes). It needs `start`, `run`,
 * `cursor`, `moveCursor` and `now` of the engine. Webhooks come by `handleWebhook`, messages of the engine's own queues
 * by `enqueue`, events by `matchEvents` and `beginRun` where the engine dispatches them; nothing of these is started here.
 * Throws `invalid_config` when a queue's package is not installed.
 */
export async function startTriggers(
  engine: Engine,
  registry: Registry,
  { log, signal, sleep }: StartTriggersParts,
): Promise<() => Promise<void>> {
  const stopping = new AbortController();
  const stopped = signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal;
  const triggers = [...registry.triggers.values()];
  const readers: (() => Promise<void>)[] = [];
  let readersStopped: Promise<unknown> | undefined;
  const stopReaders = () => (readersStopped ??= Promise.allSettled(readers.map((stop) => stop())));
  try {
    for (const trigger of triggers) {
      if (trigger.on !== "queue" || !trigger.from) continue;
      const deliver = async (id: string, message: unknown) => void (await deliverMessage(engine, trigger, id, message));
      readers.push(await trigger.from.open(deliver, { log, trigger: trigger.name }));
    }
  } catch (error) {
    await stopReaders();
    throw error;
  }
  const crons = triggers.filter((trigger): trigger is CronTrigger => trigger.on === "cron");
  const schedule =
    crons.length === 0
      ? undefined
      : scheduleCrons(crons, engine, { log, signal: stopped, ...(sleep ? { sleep } : {}) });
  stopped.addEventListener("abort", () => void stopReaders(), { once: true });
  return async () => {
    stopping.abort();
    await stopReaders();
    await schedule;
  };
}
