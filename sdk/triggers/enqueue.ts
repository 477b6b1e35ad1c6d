// Enqueue: a message becomes the run that its queue's trigger leads to.
import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { Engine } from "../engine/engine.ts";
import { checkContract } from "../procedures/contract.ts";
import { beginRun, inputOf } from "./begin-run.ts";
import type { QueueTrigger } from "./trigger.ts";

export interface EnqueueOptions {
  /** The same id twice is one message. Default: a fresh one. */
  id?: string;
  /** The run begins no earlier, milliseconds from now. Default 0. */
  delayMs?: number;
}

/**
 * Returns when the message's run is begun, durably where the engine is. Throws `invalid_input`, `rate_limited` when the
 * workflow's queue is full, `unavailable`.
 *
 * @example
 * const { runId } = await enqueue(engine, thumbnails, { imageId: "i1" }, { id: "i1", delayMs: 5_000 });
 */
export async function enqueue<T extends QueueTrigger>(
  engine: Engine,
  trigger: T,
  message: z.input<T["message"]>,
  options: EnqueueOptions = {},
): Promise<{ runId: string }> {
  const { id = randomUUID(), delayMs } = options;
  return deliverMessage(engine, trigger, id, message, delayMs === undefined ? {} : { delayMs });
}

/** The same for a message of another queue, whose type nobody has checked. */
export async function deliverMessage(
  engine: Engine,
  trigger: QueueTrigger,
  id: string,
  message: unknown,
  options: { delayMs?: number } = {},
): Promise<{ runId: string }> {
  const checked = await checkContract(trigger.message, message, `the message "${id}" of queue "${trigger.name}"`);
  return beginRun(
    engine,
    trigger,
    id,
    inputOf(trigger, () => trigger.input(checked)),
    options,
  );
}
