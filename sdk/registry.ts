// Registry: the procedures, workflows, events and triggers of an app by name. Made of a list, or by `discover` of a folder.
import { TsdevError } from "./errors.ts";
import type { AnyProcedure } from "./procedures/procedure.ts";
import type { SourceLocation } from "./source-location.ts";
import type { AnyTrigger } from "./triggers/trigger.ts";
import type { AnyWorkflow } from "./workflows/definition.ts";
import type { AnyEvent } from "./workflows/event.ts";

export interface Registry {
  readonly procedures: ReadonlyMap<string, AnyProcedure>;
  readonly workflows: ReadonlyMap<string, AnyWorkflow>;
  readonly events: ReadonlyMap<string, AnyEvent>;
  readonly triggers: ReadonlyMap<string, AnyTrigger>;
}

/** What can be registered. */
export type Declaration = AnyProcedure | AnyWorkflow | AnyEvent | AnyTrigger;

/** True for what `procedure`, `workflow(…).input(…)`, `event` and the triggers return. */
export function isDeclaration(value: unknown): value is Declaration {
  if (typeof value !== "object" || value === null) return false;
  const { kind, name } = value as { kind?: unknown; name?: unknown };
  return typeof name === "string" && typeof kind === "string" && kinds.has(kind);
}

const kinds: ReadonlySet<string> = new Set(["procedure", "workflow", "event", "trigger"]);

/**
 * A registry of these. What they refer to (steps of workflows, their children and events, targets of triggers) is
 * registered too. The same declaration twice is one; two of one kind and name throw `duplicate_name` with both places.
 */
export function createRegistry(declarations: Iterable<Declaration>): Registry {
  const procedures = new Map<string, AnyProcedure>();
  const workflows = new Map<string, AnyWorkflow>();
  const events = new Map<string, AnyEvent>();
  const triggers = new Map<string, AnyTrigger>();
  const pending = [...declarations];
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    if (one.kind === "procedure") add(procedures, one);
    else if (one.kind === "event") add(events, one);
    else if (one.kind === "trigger") {
      if (add(triggers, one)) pending.push(...one.declarations);
    } else if (add(workflows, one)) {
      for (const { procedure, compensate, event, workflow } of one.code.values()) {
        for (const part of [procedure, compensate?.procedure, event, workflow]) if (part) pending.push(part);
      }
    }
  }
  return { procedures, workflows, events, triggers };
}

/** True when it was not there yet. */
function add<T extends Declaration>(map: Map<string, T>, item: T): boolean {
  const there = map.get(item.name);
  if (there === item) return false;
  if (there) {
    throw new TsdevError("duplicate_name", {
      message: `two ${item.kind}s have the name "${item.name}": ${place(there.source)} and ${place(item.source)}`,
      fix: "rename one of them",
    });
  }
  map.set(item.name, item);
  return true;
}

function place(source: SourceLocation | undefined): string {
  return source ? `${source.file}:${source.line}` : "an unknown place";
}
