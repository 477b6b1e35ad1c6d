// Begins the run that a trigger leads to: its id is made of the trigger and what came, so that the same thing twice is
// one run, and its origin says both.
import type { Engine, RunOrigin } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { AnyTrigger } from "./trigger.ts";

/** The id of the run that `id` (a scheduled time, a delivery, a message, an event) leads to by this trigger. */
export function runIdOf(trigger: AnyTrigger, id: string): string {
  return `${trigger.on}:${trigger.name}:${id}`;
}

/** What `RunStatus.origin` of that run is. */
export function originOf(trigger: AnyTrigger, id: string): RunOrigin {
  return { kind: trigger.on, name: trigger.name, id };
}

/**
 * Returns when the run is durably begun, by this call or an earlier one with the same id. An earlier one stands whatever
 * its input was: `input` of a trigger may give something else the second time. Throws `invalid_input`, `rate_limited`,
 * `unavailable`.
 */
export async function beginRun(
  engine: Engine,
  trigger: AnyTrigger,
  id: string,
  input: unknown,
  options: { delayMs?: number } = {},
): Promise<{ runId: string }> {
  const runId = runIdOf(trigger, id);
  try {
    return await engine.start(trigger.workflow, input as never, {
      runId,
      origin: originOf(trigger, id),
      ...(trigger.principal ? { principal: trigger.principal } : {}),
      ...options,
    });
  } catch (error) {
    if (TsdevError.is(error) && error.code === "conflict" && (await engine.run(runId))) return { runId };
    throw error;
  }
}

/** True for what goes away by itself: trying again may help. */
export function isPassing(error: unknown): boolean {
  return !TsdevError.is(error) || !lasting.has(error.code);
}

const lasting: ReadonlySet<string> = new Set(["invalid_input", "invalid_config", "conflict", "not_found"]);

/** What a trigger's `input` gives. Throws `invalid_input` with the cause when it throws: it would the next time too. */
export function inputOf(trigger: AnyTrigger, map: () => unknown): unknown {
  try {
    return map();
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: `\`input\` of trigger "${trigger.name}" threw: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "let it cope with whatever fits the contract",
      cause,
    });
  }
}
