// Circles of imports among an app's files: in which order they load, and which one a file is in.
//
// In a circle the file that is imported first is evaluated last. One that calls `.step(charge)` as it loads needs `charge`
// before it; one that names a workflow inside a handler does not. So of a circle the file that nobody needs at once is
// imported first, and circles before all that lead into them.
import { dirname, resolve } from "node:path";
import type { ModuleImport } from "./module-imports.ts";

export interface Module {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly ModuleImport[];
}

interface Edge {
  readonly to: string;
  /** What is imported is used while the file loads. */
  readonly eager: boolean;
}

export interface Circles {
  /** The files of all circles, in the order in which they are to be imported. */
  readonly order: readonly string[];
  /** The way from `file`, or from what it imports, around a circle; undefined: there is none. */
  around(file: string): readonly string[] | undefined;
}

export function importCircles(modules: readonly Module[]): Circles {
  const known = new Set(modules.map(({ file }) => file));
  const edges = new Map<string, Edge[]>();
  for (const module of modules) edges.set(module.file, edgesOf(module, known));
  const groups = stronglyConnected(edges).filter((group) => group.length > 1);
  const groupOf = new Map(groups.flatMap((group) => group.map((file) => [file, new Set(group)] as const)));
  return {
    order: groups.flatMap((group) => usersFirst(group, edges)),
    around(file) {
      const start = reachable(file, edges).find((one) => groupOf.has(one));
      return start === undefined ? undefined : circleFrom(start, groupOf.get(start)!, edges);
    },
  };
}

function edgesOf({ file, text, imports }: Module, known: ReadonlySet<string>): Edge[] {
  const edges: Edge[] = [];
  let eager: ReadonlySet<string> | undefined;
  for (const { specifier, names } of imports) {
    const to = resolveFile(file, specifier, known);
    if (to === undefined || to === file) continue;
    eager ??= usedAtOnce(text);
    edges.push({ to, eager: names.some(({ local }) => eager!.has(local)) });
  }
  return edges;
}

function resolveFile(from: string, specifier: string, known: ReadonlySet<string>): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const base = resolve(dirname(from), specifier);
  const guesses = [base, base.replace(/js$/, "ts"), `${base}.ts`, `${base}.js`, `${base}/index.ts`, `${base}/index.js`];
  return guesses.find((guess) => known.has(guess));
}

/** Names in the places where the SDK's functions need them while a file loads. */
function usedAtOnce(text: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [, one, list] of text.matchAll(
    /\.(?:step|call|waitFor|compensate)\(\s*([\w$]+)|(?:\.parallel\(\s*|\bprevious\s*:\s*)\[([^\]]*)\]/g,
  )) {
    for (const name of (one ?? list ?? "").split(/[^\w$]+/)) names.add(name);
  }
  for (const [, name = ""] of text.matchAll(/\b(?:workflow|event)\s*:\s*([\w$]+)/g)) names.add(name);
  return names;
}

/** Of one circle: whoever uses another at once comes before it. Where even these form a circle, by path. */
function usersFirst(group: readonly string[], edges: ReadonlyMap<string, readonly Edge[]>): string[] {
  const inside = new Set(group);
  const order: string[] = [];
  const seen = new Set<string>();
  function visit(file: string): void {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { to, eager } of edges.get(file) ?? []) if (eager && inside.has(to)) visit(to);
    order.unshift(file);
  }
  for (const file of [...group].sort().reverse()) visit(file);
  return order;
}

/** `file` and all that it leads to, nearest first. */
function reachable(file: string, edges: ReadonlyMap<string, readonly Edge[]>): string[] {
  const found = new Set([file]);
  for (const one of found) for (const { to } of edges.get(one) ?? []) found.add(to);
  return [...found];
}

/** The shortest way from `start` back to it. */
function circleFrom(start: string, group: ReadonlySet<string>, edges: ReadonlyMap<string, readonly Edge[]>): string[] {
  const ways: string[][] = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const { to } of edges.get(way.at(-1)!) ?? []) {
      if (to === start) return [...way, start];
      if (!group.has(to) || seen.has(to)) continue;
      seen.add(to);
      ways.push([...way, to]);
    }
  }
  return [start];
}

/** Tarjan's algorithm: groups of files that lead to each other, those that are led to first. */
function stronglyConnected(edges: ReadonlyMap<string, readonly Edge[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const groups: string[][] = [];
  function visit(file: string): void {
    const own = index.size;
    index.set(file, own);
    low.set(file, own);
    stack.push(file);
    onStack.add(file);
    for (const { to } of edges.get(file) ?? []) {
      if (!index.has(to)) visit(to);
      if (onStack.has(to)) low.set(file, Math.min(low.get(file)!, low.get(to)!));
    }
    if (low.get(file) !== own) return;
    const group = stack.splice(stack.indexOf(file));
    for (const one of group) onStack.delete(one);
    groups.push(group);
  }
  for (const file of edges.keys()) visit(file);
  return groups;
}
