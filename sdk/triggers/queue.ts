// Queue: a trigger that starts a run for each message.
import type { z } from "zod";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { WorkflowInput } from "../workflows/workflow.ts";
import { declareTrigger } from "./declare.ts";
import type { MessageSource, QueueTrigger, TriggerParts } from "./trigger.ts";

export interface QueueParts<W extends AnyWorkflow, M extends z.ZodType> extends TriggerParts<W> {
  /** The contract of a message. */
  message: M;
  /** The run's input. */
  input: (message: z.output<M>) => WorkflowInput<NoInfer<W>>;
  /** Another queue that messages come from: `bullmq(…)`, or one of your own. Default: they come by `enqueue`. */
  from?: MessageSource;
}

/** A queue trigger that knows the type of its messages. */
export type Queue<M extends z.ZodType = z.ZodType> = QueueTrigger & { readonly message: M };

/**
 * Starts a run for each message, with the id `queue:{name}:{id of the message}`: one that comes again is the same run.
 *
 * @example
 * export const thumbnails = queue({
 *   name: "thumbnails",
 *   message: z.object({ imageId: z.string() }),
 *   workflow: makeThumbnail,
 *   input: ({ imageId }) => ({ imageId, width: 200 }),
 * });
 * await enqueue(engine, thumbnails, { imageId: "i1" });
 */
export function queue<W extends AnyWorkflow, M extends z.ZodType>(parts: QueueParts<W, M>): Queue<M> {
  return Object.freeze({
    ...declareTrigger(queue, parts),
    on: "queue" as const,
    message: parts.message,
    input: parts.input as QueueTrigger["input"],
    from: parts.from,
  });
}
