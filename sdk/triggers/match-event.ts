// Matches an event with its triggers: which of them start a run, and with what input.
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import type { AnyEvent } from "../workflows/event.ts";
import { inputOf } from "./begin-run.ts";
import type { AnyTrigger, EventTrigger } from "./trigger.ts";

/**
 * The input of the run that this payload (as `engine.publish` was given it) leads to by the trigger; undefined when its
 * filter says no. Throws `invalid_input` when the payload does not fit the event, or when `filter` or `input` throws.
 */
export async function matchEvent(trigger: EventTrigger, payload: unknown): Promise<{ input: unknown } | undefined> {
  const checked = await checkContract(trigger.event.payload, payload, `the event "${trigger.event.name}"`);
  let passes: boolean;
  try {
    passes = trigger.filter(checked);
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: `\`filter\` of trigger "${trigger.name}" threw: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "let it cope with whatever fits the event's contract",
      cause,
    });
  }
  return passes ? { input: inputOf(trigger, () => trigger.input(checked)) } : undefined;
}

/** Of all these triggers those that the event leads to a run by. A trigger that throws is logged and keeps none from theirs. */
export async function matchEvents(
  triggers: Iterable<AnyTrigger>,
  event: Pick<AnyEvent, "name">,
  payload: unknown,
  log: Log,
): Promise<{ trigger: EventTrigger; input: unknown }[]> {
  const matches: { trigger: EventTrigger; input: unknown }[] = [];
  for (const trigger of triggers) {
    if (trigger.on !== "event" || trigger.event.name !== event.name) continue;
    try {
      const match = await matchEvent(trigger, payload);
      if (match) matches.push({ trigger, input: match.input });
    } catch (error) {
      log.error("an event could not start a run", { trigger: trigger.name, event: event.name, error });
    }
  }
  return matches;
}
