// Declaring a trigger: what all four kinds have in common, checked.
import { TsdevError } from "../errors.ts";
import { callerOf } from "../source-location.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { TriggerParts } from "./trigger.ts";

/**
 * The fields of every trigger. `entry` is the public function that was called: its caller is where the trigger stands.
 * Throws `invalid_config` for a name that cannot be part of a run's id, and for a workflow or event that is not there.
 */
export function declareTrigger(
  entry: (...parts: never[]) => unknown,
  parts: TriggerParts<AnyWorkflow> & { event?: AnyEvent },
) {
  const { name, workflow, event } = parts;
  if (!/^[\w.-]{1,100}$/.test(name)) {
    throw new TsdevError("invalid_config", {
      message: `a trigger cannot have the name ${JSON.stringify(name)}`,
      fix: "use 1 to 100 letters, digits, dots, underscores and hyphens: the name is part of the id of its runs",
      path: "name",
    });
  }
  if (workflow === undefined) throw notThere(name, "workflow");
  if ("event" in parts && event === undefined) throw notThere(name, "event");
  return {
    kind: "trigger" as const,
    name,
    workflow,
    principal: parts.principal,
    declarations: Object.freeze(event ? [workflow, event] : [workflow]),
    source: callerOf(entry),
  };
}

/** A circle of imports is the one way to get here from code that compiles. */
function notThere(name: string, what: string): TsdevError {
  return new TsdevError("invalid_config", {
    message: `trigger "${name}" is declared before its ${what} is there: their files import each other`,
    fix: `move the ${what} to a file that does not import the trigger's`,
    path: what,
  });
}
