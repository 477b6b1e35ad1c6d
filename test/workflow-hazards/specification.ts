// Specification: random workflows drawn from a seed as plain data, from which both the workflows and their model are made.
import { seededRandom } from "../seeded-random.ts";

export interface StepSpec {
  readonly op: "step";
  readonly id: string;
  readonly idempotent: boolean | undefined;
  /** The key whose value goes into the step's. */
  readonly reads: string | undefined;
  readonly retry: boolean;
  /** Its run is put down between two attempts. */
  readonly waitsLong: boolean;
  /** Its first attempt may hang until its time limit. */
  readonly timeout: boolean;
  readonly compensate: boolean;
}
export type NodeSpec =
  | StepSpec
  | { readonly op: "parallel"; readonly branches: readonly StepSpec[] }
  | { readonly op: "when"; readonly id: string; readonly yes: readonly NodeSpec[]; readonly no: readonly NodeSpec[] }
  | {
      readonly op: "match";
      readonly id: string;
      readonly cases: Readonly<Record<"a" | "b" | "c", readonly NodeSpec[]>>;
    }
  | {
      readonly op: "each";
      readonly id: string;
      readonly concurrency: number;
      readonly collect: boolean;
      readonly nodes: readonly NodeSpec[];
    }
  | { readonly op: "repeat"; readonly id: string; readonly everyMs: number; readonly nodes: readonly NodeSpec[] }
  | { readonly op: "sleep"; readonly id: string; readonly ms: number }
  | { readonly op: "waitFor"; readonly id: string; readonly onTimeout: "continue" | "fail" | undefined }
  | {
      readonly op: "approve";
      readonly id: string;
      readonly onReject: "continue" | undefined;
      readonly timesOut: boolean;
    }
  | { readonly op: "call"; readonly id: string; readonly child: string };

export interface WorkflowSpec {
  readonly name: string;
  /** How many runs of one tenant may be unfinished at once. */
  readonly limit: number | undefined;
  readonly nodes: readonly NodeSpec[];
}

export interface Specification {
  readonly workflows: readonly WorkflowSpec[];
  readonly children: readonly WorkflowSpec[];
}

/** How long a wait with a time limit waits, milliseconds. */
export const waitMs = 1_500;
export const matchCases = ["a", "b", "c"] as const;

/** A number from 0 up to 1 that only depends on the seed and the text. */
export function draw(seed: number, text: string): number {
  let hash = 2_166_136_261 ^ seed;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16_777_619);
  return seededRandom(hash)();
}

export function specificationOf(seed: number, workflowCount = 16): Specification {
  const random = seededRandom(seed);
  const chance = (share: number) => random() < share;
  const between = (low: number, high: number) => low + Math.floor(random() * (high - low + 1));
  const children: WorkflowSpec[] = [];

  function make(name: string, isChild: boolean): WorkflowSpec {
    let count = 0;
    // A run that undid something cannot be retried.
    const undoes = chance(0.5);
    const next = (op: string) => `${name}_${op}${++count}`;
    const step = (reads: string | undefined, inParallel = false): StepSpec => {
      const idempotent = [true, undefined, undefined, false][between(0, 3)];
      const retry = chance(0.5);
      const id = next("step");
      const timeout = !inParallel && retry && idempotent !== false && chance(0.15);
      return {
        op: "step",
        id,
        idempotent,
        reads: inParallel ? undefined : reads,
        retry,
        waitsLong: retry && !timeout && draw(seed, `${id} waits long`) < 0.15,
        timeout,
        compensate: undoes && !inParallel && chance(0.5),
      };
    };
    const body = (length: number, depth: number, outer: string | undefined): NodeSpec[] => {
      let reads = outer;
      return Array.from({ length }, (): NodeSpec => {
        const dice = random();
        if (depth > 0 && dice < 0.09)
          return { op: "when", id: next("when"), yes: body(2, depth - 1, reads), no: body(1, depth - 1, reads) };
        if (depth > 0 && dice < 0.15) {
          const cases = { a: body(1, depth - 1, reads), b: body(2, depth - 1, reads), c: body(1, depth - 1, reads) };
          return { op: "match", id: next("match"), cases };
        }
        if (depth > 0 && dice < 0.29) {
          return {
            op: "each",
            id: next("each"),
            concurrency: between(1, 3),
            collect: chance(0.5),
            nodes: body(between(1, 3), 0, reads),
          };
        }
        if (depth > 0 && dice < 0.36) {
          return {
            op: "repeat",
            id: next("repeat"),
            everyMs: chance(0.5) ? between(10, 60) : 0,
            nodes: body(between(1, 2), 0, reads),
          };
        }
        if (dice < 0.43)
          return { op: "parallel", branches: Array.from({ length: between(2, 3) }, () => step(undefined, true)) };
        if (dice < 0.5)
          return {
            op: "sleep",
            id: next("sleep"),
            ms: depth > 0 && chance(0.3) ? between(1_050, 1_500) : between(5, 80),
          };
        if (depth > 0 && !isChild && dice < 0.58) {
          return {
            op: "waitFor",
            id: next("wait"),
            onTimeout: ([undefined, "continue", "fail", "continue"] as const)[between(0, 3)],
          };
        }
        if (depth > 0 && !isChild && dice < 0.66) {
          return {
            op: "approve",
            id: next("ask"),
            onReject: chance(0.6) ? "continue" : undefined,
            timesOut: chance(0.3),
          };
        }
        if (depth > 0 && !isChild && dice < 0.72) {
          return { op: "call", id: next("call"), child: children[between(0, children.length - 1)]!.name };
        }
        const one = step(reads);
        reads = one.id;
        return one;
      });
    };
    return {
      name,
      limit: !isChild && chance(0.25) ? between(1, 3) : undefined,
      nodes: body(isChild ? 3 : between(4, 8), isChild ? 1 : 2, undefined),
    };
  }

  for (let index = 0; index < 4; index++) children.push(make(`child${index}`, true));
  return { children, workflows: Array.from({ length: workflowCount }, (_none, index) => make(`flow${index}`, false)) };
}

/** A step's output. */
export function stepValue(seed: number, path: string, from: unknown): number {
  return Math.floor(draw(seed, `${path}=${String(from)}`) * 1_000_000);
}

/** How many attempts of a step fail before one succeeds; infinitely many: it fails for good. */
export function failuresOf(seed: number, path: string, { retry, timeout }: StepSpec): number {
  const dice = draw(seed, `${path}!`);
  if (dice < 0.012) return Number.POSITIVE_INFINITY;
  if (!retry) return 0;
  return timeout ? (dice < 0.5 ? 1 : 0) : dice < 0.2 ? 1 : dice < 0.28 ? 2 : 0;
}

interface Inside {
  readonly seed: number;
  readonly index?: number;
  readonly round?: number;
}

/** Where in the iterations around it a decision is made. */
function place({ index, round }: Inside): string {
  return `${index ?? ""}/${round ?? ""}`;
}

export function isTaken(id: string, scope: Inside): boolean {
  return draw(scope.seed, `${id}?${place(scope)}`) < 0.5;
}

export function caseOf(id: string, scope: Inside): "a" | "b" | "c" {
  return matchCases[Math.floor(draw(scope.seed, `${id}?${place(scope)}`) * 3)]!;
}

export function itemsOf(id: string, scope: Inside): number[] {
  return Array.from({ length: Math.floor(draw(scope.seed, `${id}?${place(scope)}`) * 6) }, (_none, index) => index * 3);
}

/** After so many rounds a repeat that is not over fails. */
export const maxRounds = 4;

export function roundsOf(id: string, scope: Inside): number {
  const dice = draw(scope.seed, `${id}#`);
  return dice < 0.04 ? maxRounds + 1 : 1 + Math.floor(dice * 3);
}

/** The most steps of a run that are under way at once. */
export function widthOf(nodes: readonly NodeSpec[]): number {
  return Math.max(
    1,
    ...nodes.map((node) => {
      if (node.op === "parallel") return node.branches.length;
      if (node.op === "each") return node.concurrency * widthOf(node.nodes);
      if (node.op === "repeat") return widthOf(node.nodes);
      if (node.op === "when") return Math.max(widthOf(node.yes), widthOf(node.no));
      return node.op === "match" ? Math.max(...matchCases.map((one) => widthOf(node.cases[one]))) : 1;
    }),
  );
}

/** Every node, those inside others included. */
export function nodesOf(nodes: readonly NodeSpec[]): NodeSpec[] {
  return nodes.flatMap((node): NodeSpec[] => {
    if (node.op === "parallel") return [node, ...node.branches];
    if (node.op === "when") return [node, ...nodesOf(node.yes), ...nodesOf(node.no)];
    if (node.op === "match") return [node, ...matchCases.flatMap((one) => nodesOf(node.cases[one]))];
    if (node.op === "each" || node.op === "repeat") return [node, ...nodesOf(node.nodes)];
    return [node];
  });
}
