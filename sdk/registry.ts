// Registry: the procedures, workflows, events and triggers of an app by name. Made of a list, or by `discover` of a folder.
import { relative, sep } from "node:path";
import { TsdevError } from "./errors.ts";
import type { AnyProcedure } from "./procedures/procedure.ts";
import type { AnyTrigger } from "./triggers/trigger.ts";
import type { AnyWorkflow } from "./workflows/definition.ts";
import type { AnyEvent } from "./workflows/event.ts";

/** Each map is in the order of its names, so that two registries of one app are alike wherever they were made. */
export interface Registry {
  readonly procedures: ReadonlyMap<string, AnyProcedure>;
  readonly workflows: ReadonlyMap<string, AnyWorkflow>;
  readonly events: ReadonlyMap<string, AnyEvent>;
  readonly triggers: ReadonlyMap<string, AnyTrigger>;
}

/** What can be registered. */
export type Declaration = AnyProcedure | AnyWorkflow | AnyEvent | AnyTrigger;

/** True for what `procedure`, `workflow(…).input(…)`, `event` and the triggers return, also of another copy of the SDK. */
export function isDeclaration(value: unknown): value is Declaration {
  if (typeof value !== "object" || value === null) return false;
  const one = value as Record<string, unknown>;
  if (typeof one.name !== "string") return false;
  // More than the kind: apps have objects of their own with `kind: "event"`.
  if (one.kind === "procedure") return typeof one.handler === "function" && isContract(one.input);
  if (one.kind === "workflow") return one.code instanceof Map && isContract(one.input);
  if (one.kind === "event") return isContract(one.payload);
  return one.kind === "trigger" && isDeclaration(one.workflow);
}

function isContract(value: unknown): boolean {
  return typeof (value as { safeParse?: unknown } | null)?.safeParse === "function";
}

/**
 * A registry of these. What they refer to (steps of workflows, their children and events, targets of triggers) is
 * registered too. The same declaration twice is one, and earlier definitions that a workflow names in `previous` do not
 * count beside it. Two others of one kind and name throw `duplicate_name` with both places; what is no declaration throws
 * `invalid_config`.
 */
export function createRegistry(declarations: Iterable<Declaration>): Registry {
  return registryOf(declarations, placeOf);
}

/** The same, where the caller knows better than the declaration where it stands. */
export function registryOf(declarations: Iterable<Declaration>, place: (item: Declaration) => string): Registry {
  const maps = {
    procedure: new Map<string, AnyProcedure>(),
    workflow: new Map<string, AnyWorkflow>(),
    event: new Map<string, AnyEvent>(),
    trigger: new Map<string, AnyTrigger>(),
  };
  const given = [...declarations];
  const wrong = given.findIndex((item) => !isDeclaration(item));
  if (wrong >= 0) throw noDeclaration(given[wrong], wrong);
  const earlier = new Set(given.flatMap(previousOf));
  const pending: { item: Declaration; user?: Declaration }[] = given
    .filter((item) => !earlier.has(item))
    .map((item) => ({ item }));
  // In order, and what is referred to after what was given: which of two is named first does not depend on chance.
  for (const { item, user } of pending) {
    const map = maps[item.kind] as Map<string, Declaration>;
    const there = map.get(item.name);
    if (there === item || (there && previousOf(there).includes(item))) continue;
    if (there && !previousOf(item).includes(there)) throw duplicate(there, item, user, place);
    map.set(item.name, item);
    for (const part of partsOf(item)) pending.push({ item: part, user: item });
  }
  return {
    procedures: sorted(maps.procedure),
    workflows: sorted(maps.workflow),
    events: sorted(maps.event),
    triggers: sorted(maps.trigger),
  };
}

function partsOf(item: Declaration): readonly Declaration[] {
  if (item.kind === "trigger") return item.declarations;
  if (item.kind !== "workflow") return [];
  return [...item.code.values()].flatMap(({ procedure, compensate, event, workflow }) =>
    [procedure, compensate?.procedure, event, workflow].filter((part) => part !== undefined),
  );
}

/** The definitions that this one was earlier, at any distance. */
function previousOf(item: Declaration): readonly Declaration[] {
  if (item.kind !== "workflow") return [];
  // A bundle may hold an older copy of the SDK, whose workflows have no earlier ones.
  return (item.previous ?? []).flatMap((one) => [one, ...previousOf(one)]);
}

function sorted<T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

function duplicate(
  there: Declaration,
  item: Declaration,
  user: Declaration | undefined,
  place: (item: Declaration) => string,
): TsdevError {
  const [first, second] = [place(there), place(item)];
  const via = user ? `, which ${user.kind} "${user.name}" uses` : "";
  if (first === second && there.source !== undefined) {
    return new TsdevError("duplicate_name", {
      message: `the ${item.kind} "${item.name}" was made twice at ${first}${via}: its file was loaded twice, or a function there makes it`,
      fix: "load the file once (in tests: give `discover` your own `import`), or make it once and export that",
    });
  }
  return new TsdevError("duplicate_name", {
    message: `two ${item.kind}s have the name "${item.name}": ${first} and ${second}${via}`,
    fix: "rename one of them",
  });
}

function noDeclaration(item: unknown, index: number): TsdevError {
  const what = item === null ? "null" : item === undefined ? "undefined" : `a value of type ${typeof item}`;
  return new TsdevError("invalid_config", {
    message: `item ${index} given to createRegistry is ${what} and no procedure, workflow, event or trigger`,
    fix:
      item === undefined
        ? "its file and this one import each other: give createRegistry the list in a file that nothing imports"
        : "give it what `procedure`, `workflow(…).input(…)`, `event` and the triggers return",
    path: String(index),
  });
}

/** `file:line`, from the folder the process runs in where the file is below it. */
export function placeOf({ source }: Declaration): string {
  return source ? `${shortPath(source.file, process.cwd())}:${source.line}` : "an unknown place";
}

/** From `folder`, with slashes, where the file is below it. */
export function shortPath(file: string, folder: string): string {
  const path = relative(folder, file);
  return path === "" || path.startsWith("..") ? file : path.split(sep).join("/");
}
