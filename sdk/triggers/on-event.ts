// OnEvent: a trigger that starts a run when an event of the app is published.
import type { z } from "zod";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { WorkflowInput } from "../workflows/workflow.ts";
import { declareTrigger } from "./declare.ts";
import type { EventTrigger, TriggerParts } from "./trigger.ts";

export interface OnEventParts<W extends AnyWorkflow, E extends AnyEvent> extends TriggerParts<W> {
  event: E;
  /** Only these. Default: every one. */
  filter?: (payload: z.output<NoInfer<E>["payload"]>) => boolean;
  /** The run's input. */
  input: (payload: z.output<NoInfer<E>["payload"]>) => WorkflowInput<NoInfer<W>>;
}

/**
 * Starts a run for each event that passes the filter, with the id `event:{name}:{id of the event}`: an event that is
 * published twice under one id is one run.
 *
 * @example
 * export const largePayments = onEvent({
 *   name: "large-payments",
 *   event: paymentReceived,
 *   filter: ({ amount }) => amount > 10_000,
 *   workflow: reviewPayment,
 *   input: ({ orderId }) => ({ orderId }),
 * });
 */
export function onEvent<W extends AnyWorkflow, E extends AnyEvent>(parts: OnEventParts<W, E>): EventTrigger {
  return Object.freeze({
    ...declareTrigger(onEvent, parts),
    on: "event" as const,
    event: parts.event,
    filter: (parts.filter ?? (() => true)) as EventTrigger["filter"],
    input: parts.input as EventTrigger["input"],
  });
}
